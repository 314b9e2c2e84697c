package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/client"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

// A run is started on a server, followed, and answered when it asks.
func ExampleClient_Watch() {
	ctx := context.Background()
	e := bide.Must(engine.Open(ctx, "mem:", nil))
	defer e.Close(ctx)
	ann := &auth.Principal{Actor: "ann", Roles: []auth.Role{auth.Administrator}}
	guard := auth.New(e.Store(), &auth.Options{Anonymous: ann})
	srv := bide.Must(gateway.New(e.Runtime, e.Store(), &gateway.Options{Authenticate: guard.Protect, Workflows: []bide.Workflow{ask()}}))
	ts := httptest.NewServer(http.Handler(srv))
	defer ts.Close()

	c := bide.Must(client.New(ts.URL, nil))
	run := bide.Must(c.Start(ctx, api.StartRun{Workflow: "ask", Key: "order-42"}, ""))
	for rec, err := range c.Watch(ctx, run.ID, 0) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(rec.Kind)
		if rec.Kind == bide.KindWaitOpened {
			bide.Must(c.Answer(ctx, run.ID+".1", "yes", ""))
		}
	}
	fmt.Println(string(bide.Must(c.Run(ctx, run.ID, 0)).Output))
	// Output:
	// run.started
	// step.planned
	// wait.opened
	// wait.resolved
	// run.completed
	// "yes"
}
