package cli

import (
	"context"
	"errors"

	"github.com/bide-dev/bide"
	"github.com/spf13/cobra"
)

type library struct{}

var errStub = errors.New("stub")

func newLibrary(cfg *config) *library                                        { return &library{} }
func (l *library) handle(rt *bide.Runtime) error                             { return nil }
func (l *library) names() []string                                           { return nil }
func (l *library) check(name string) error                                   { return nil }
func (l *library) path(name string) string                                   { return "" }
func (l *library) input(ctx context.Context, name string) (bide.JSON, error) { return nil, nil }
func (l *library) start(ctx context.Context, rt *bide.Runtime, req *startRequest) (*bide.Run, error) {
	wf := bide.Workflow{ID: "refund", Version: "1", Entry: "ask", Nodes: bide.Nodes{"ask": func(r *bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Refund?", &bide.AskOptions{Choices: []string{"approve", "reject"}}).As("d"), bide.Ask("Why?", nil).As("e")).Then("form"), nil
	}, "form": func(r *bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Form("Fill", bide.JSON(`{"type":"object","required":["a"],"properties":{"a":{"type":"number"},"b":{"type":"boolean"},"c":{"enum":["x","y"],"default":"x"}}}`), nil).As("f")).ThenCompleteWith("f"), nil
	}}}
	return rt.Start(ctx, wf, req.Input, &bide.StartOptions{Key: req.Key})
}
func (l *library) publish(ctx context.Context, rt *bide.Runtime, name string) (string, string, error) {
	return "", "", errStub
}
func (l *library) load(ctx context.Context, rt *bide.Runtime, id string) error {
	_, err := l.start(ctx, rt, &startRequest{Key: "x"})
	return err
}
func (l *library) follow(ctx context.Context, rt *bide.Runtime) (func(), error) {
	return func() {}, nil
}
func newFlow(a *app) *cobra.Command { return &cobra.Command{Use: "flow"} }
func newInit(a *app) *cobra.Command { return &cobra.Command{Use: "init"} }
