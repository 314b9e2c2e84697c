package remote_test

import (
	"fmt"
	"net/http"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/remote"
	"github.com/bide-dev/bide/store/mem"
)

// Effects of the type resize are carried out by programs that ask this server for work.
func ExampleNew() {
	store := mem.New()
	rt := bide.Must(bide.New(store, nil))
	pool := remote.New(rt, []string{"resize"}, nil)
	server := &http.Server{Addr: "127.0.0.1:7878", Handler: bide.Must(gateway.New(rt, store, &gateway.Options{Authenticate: auth.New(store, nil).Protect, Remote: pool}))}
	fmt.Println(server.Addr)
	// Output: 127.0.0.1:7878
}
