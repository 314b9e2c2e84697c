package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
)

// maxErrorBody is how much of an error's body is read.
const maxErrorBody = 64 << 10

// Stream posts body as JSON, once, and returns the stream of events that answers it, which the caller closes. It
// fails with an *Error: what Refused makes of any status but 200, CodeProtocol for an answer that is no stream, and what
// Transport makes of the rest.
func (e Env) Stream(ctx context.Context, url string, header http.Header, body any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, Errorf(CodeInvalidRequest, "the request is not JSON: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return nil, Errorf(CodeInvalidRequest, "%w", err)
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	resp, err := e.HTTP.Do(req)
	if err != nil {
		return nil, Transport(ctx, CodeUnavailable, err)
	}
	typ, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode != http.StatusOK:
		defer resp.Body.Close()
		return nil, refusal(ctx, resp)
	case err == nil && typ != "text/event-stream":
		defer resp.Body.Close()
		return nil, Errorf(CodeProtocol, "the answer is %s, not a stream of events", typ)
	}
	return resp, nil
}

func refusal(ctx context.Context, resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil && ctx.Err() != nil {
		return Transport(ctx, CodeProtocol, err)
	}
	return Refused(resp.StatusCode, resp.Header, body)
}
