package llm_test

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bide-dev/bide/llm"
)

// replier answers every request with one body, over no network.
type replier struct{ body io.Reader }

// RoundTrip implements http.RoundTripper.
func (w *replier) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(w.body), Request: req}, nil
}

// A stream that ends at any byte, in order or not, is an error, or has all that the model said.
func TestAStreamThatIsCutAtAnyByteIsNoOtherAnswer(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		list := []string{d.startCounted(), d.text("Grüße, "), d.callBegin(0, "a", "look"), d.callBegin(1, "b", "find"), d.callArgs(1, `{"x":`), d.callArgs(0, `{}`), d.callArgs(1, `1}`)}
		begun := strings.Join(list, "\n\n") + "\n\n"
		stream := begun + strings.Join(d.end(d.reasons[llm.FinishToolCalls], "all"), "\n\n") + "\n\n"
		var server replier
		models := modelsAt(t, d.kind, serve(t, nil), &llm.Options{HTTP: &server})
		generate := func(body io.Reader) (*llm.Response, error) {
			server.body = body
			return models.Generate(t.Context(), ask("hi"), nil)
		}
		whole, err := generate(strings.NewReader(stream))
		if err != nil || whole.Text() != "Grüße, " || len(whole.ToolCalls()) != 2 {
			t.Fatalf("Generate = %+v, %v", whole, err)
		}
		for n := range len(stream) {
			for end, body := range map[string]io.Reader{
				"ends":      strings.NewReader(stream[:n]),
				"breaks":    io.MultiReader(strings.NewReader(stream[:n]), iotest.ErrReader(io.ErrUnexpectedEOF)),
				"byte-wise": iotest.OneByteReader(strings.NewReader(stream[:n])),
			} {
				resp, err := generate(body)
				switch {
				case n > len(begun) && err == nil && reflect.DeepEqual(resp.Message, whole.Message):
				case err == nil || resp != nil || codeOf(err) != llm.CodeProtocol:
					t.Fatalf("%s after %q: Generate = %+v, %v", end, stream[:n], resp, err)
				}
			}
		}
	})
}

func TestHowLongToWaitIsReadFromTheHeaders(t *testing.T) {
	for _, c := range []struct {
		header http.Header
		want   string
	}{
		{http.Header{"Retry-After": {"120"}}, "2m0s"},
		{http.Header{"Retry-After": {"0.5"}}, "500ms"},
		{http.Header{"Retry-After": {"2"}, "Retry-After-Ms": {"1500"}}, "1.5s"},
		{http.Header{"Retry-After": {"Mon, 23 Nov 2026 10:01:30 GMT"}, "Date": {"Mon, 23 Nov 2026 10:00:00 GMT"}}, "1m30s"},
		{http.Header{"Retry-After": {"Mon, 23 Nov 2026 09:00:00 GMT"}, "Date": {"Mon, 23 Nov 2026 10:00:00 GMT"}}, "0s"},
		{http.Header{"Retry-After": {"soon"}}, "0s"},
		{http.Header{"Retry-After": {"-5"}}, "0s"},
		{http.Header{"Retry-After": {"NaN"}}, "0s"},
		{http.Header{"Retry-After": {"1e300"}}, "24h0m0s"},
		{http.Header{}, "0s"},
	} {
		for _, status := range []int{429, 503, 529} {
			e := llm.Refused(status, c.header, []byte(`{"error":{"message":"slow down"}}`))
			if got := fmt.Sprint(e.RetryAfter); got != c.want || !e.Again() {
				t.Errorf("HTTP %d with %v: again %v after %s, want %s", status, c.header, e.Again(), got, c.want)
			}
		}
	}
}
