package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/store/mem"
)

// A server answers those who have a token.
func ExampleGuard() {
	guard := auth.New(mem.New(), nil)
	token, _, err := guard.Tokens().Create(context.Background(), auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}}, "user:ann")
	if err != nil {
		fmt.Println(err)
		return
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello", auth.From(r.Context()).Actor)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /hello", auth.Need(auth.View, hello))
	mux.Handle("POST /hello", auth.Need(auth.Operate, hello))
	server := auth.Headers(guard.Protect(mux))

	for _, method := range []string{"GET", "POST"} {
		r := httptest.NewRequest(method, "/hello", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		fmt.Println(method, w.Code)
	}
	// Output:
	// GET 200
	// POST 403
}
