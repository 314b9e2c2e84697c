package webhook_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/bide-dev/bide/gateway/webhook"
)

// A receiver counts a message when its signature does, and once by its id.
func ExampleVerify() {
	secret := webhook.NewSecret()
	receive := func(r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 1<<20))
		if err != nil {
			fmt.Println(err)
			return
		}
		id, err := webhook.Verify(r.Header, []string{secret}, time.Now(), body)
		fmt.Println(id, err)
	}

	const body = `{"type":"run.completed"}`
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	if err := webhook.Sign(r.Header, []string{secret}, "msg_1", time.Now(), []byte(body)); err != nil {
		fmt.Println(err)
		return
	}
	receive(r)
	receive(httptest.NewRequest("POST", "/", strings.NewReader(body)))
	// Output:
	// msg_1 <nil>
	//  the signature is missing, wrong or too old
}
