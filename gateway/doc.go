// Package gateway serves runs over HTTP: an API for programs in every language and
// streams of what happens.
//
//	srv, err := gateway.New(rt, store, &gateway.Options{Authenticate: auth.New(store, nil).Protect})
//	err = srv.Serve(ctx, listener) // until ctx ends, then gracefully
//
// Every operation names the right that it needs (package auth); who asks is in the
// context of the request, put there by Options.Authenticate. The API's description is at
// /openapi.json. Errors are problems (RFC 9457) whose types are bide's error codes, one to one.
//
// The package knows no concrete store and no provider of models, and decides nothing about
// runs: each operation is one call of the runtime.
package gateway
