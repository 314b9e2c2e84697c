package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
)

// wait is a workflow that waits for an event.
func wait() bide.Workflow {
	return bide.Workflow{ID: "wait", Version: "1", Entry: "wait", Nodes: bide.Nodes{"wait": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.WaitEvent("go", nil)).ThenComplete(nil), nil
	}}}
}

// host serves until the parent has no more to say, and answers each line with its resident memory.
func host(ctx context.Context, store, listen string) error {
	e, err := engine.Open(ctx, store, nil)
	if err != nil {
		return err
	}
	guard := auth.New(e.Store(), &auth.Options{Anonymous: &auth.Principal{Actor: "load", Roles: []auth.Role{auth.Administrator}}, Rate: 1e9, Burst: 1e9})
	srv, err := gateway.New(e.Runtime, e.Store(), &gateway.Options{Authenticate: guard.Protect, Worker: e.Worker(), Workflows: []bide.Workflow{wait()}})
	if err != nil {
		return errors.Join(err, e.Close(ctx))
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return errors.Join(err, e.Close(ctx))
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(serving, l) }()
	fmt.Println("http://" + l.Addr().String())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		m, err := resident()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		fmt.Println(m)
	}
	stop()
	return errors.Join(<-served, e.Close(ctx))
}

// resident is the memory of this process, in bytes, from Linux; 0 elsewhere.
func resident() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
