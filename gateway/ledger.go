package gateway

import (
	"context"
	"net/http"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/llm"
)

const tagLedger = "ledger"

func (s *Server) registerLedger() {
	register(s, operation{id: "get-ledger", method: http.MethodGet, path: "/v1/runs/{run}/ledger", tag: tagLedger, right: auth.View,
		summary: "A part of a run's ledger"}, s.getLedger)
	register(s, operation{id: "get-command", method: http.MethodGet, path: "/v1/runs/{run}/commands/{command}", tag: tagLedger, right: auth.View,
		summary: "What a command did to a run", about: "The id of a command is the Idempotency-Key that it was sent with. 404 says that it was not applied."}, s.getCommand)
	register(s, operation{id: "verify-run", method: http.MethodGet, path: "/v1/runs/{run}/verification", tag: tagLedger, right: auth.View,
		summary: "Check a run's whole ledger, and what a signed checkpoint says of it", about: "A ledger that does not hold together, or is not the one that was signed, is a problem of type corrupt."}, s.verifyRun)
	register(s, operation{id: "replay-run", method: http.MethodGet, path: "/v1/runs/{run}/replay", tag: tagLedger, right: auth.View,
		summary: "Decide every step of a run again", about: "No effect happens."}, s.replayRun)
	register(s, operation{id: "get-usage", method: http.MethodGet, path: "/v1/runs/{run}/usage", tag: tagLedger, right: auth.View,
		summary: "Tokens and cost of a run's calls of models"}, s.getUsage)
}

type getLedger struct {
	OneRun
	From  int64 `query:"from" minimum:"1" default:"1" doc:"number of the first record"`
	Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"at most this many"`
}

func (s *Server) getLedger(ctx context.Context, in *getLedger) (*result[api.Ledger], error) {
	run, err := s.sight(ctx, auth.View).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	raws, err := s.store.Records(ctx, in.Run, in.From, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &api.Ledger{Records: make([]bide.JSON, len(raws))}
	for i, raw := range raws {
		out.Records[i] = raw
	}
	if next := in.From + int64(len(raws)); next <= run.Seq {
		out.Next = next
	}
	return ok(out), nil
}

type getCommand struct {
	OneRun
	Command string `path:"command" maxLength:"200" doc:"id of the command"`
}

func (s *Server) getCommand(ctx context.Context, in *getCommand) (*result[api.CommandStatus], error) {
	if _, err := s.sight(ctx, auth.View).run(ctx, in.Run); err != nil {
		return nil, err
	}
	c, err := s.store.Command(ctx, in.Run, auth.From(ctx).Scoped(in.Command))
	if err != nil {
		return nil, err
	}
	return ok(&api.CommandStatus{ID: in.Command, RunID: in.Run, Seq: c.Seq}), nil
}

func (s *Server) verifyRun(ctx context.Context, in *OneRun) (*result[api.Verification], error) {
	if _, err := s.sight(ctx, auth.View).run(ctx, in.Run); err != nil {
		return nil, err
	}
	signed, faults, err := s.signed(ctx, in.Run) // before the ledger is read, which may go on meanwhile
	if err != nil {
		return nil, err
	}
	at, err := s.rt.Verify(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	if signed != nil {
		if err := s.holds(ctx, in.Run, at, signed); err != nil {
			return nil, err
		}
	}
	return ok(&api.Verification{RunID: in.Run, Records: at.Seq, Head: at.Head, Signed: signed, LogFaults: faults}), nil
}

func (s *Server) replayRun(ctx context.Context, in *OneRun) (*result[api.Replay], error) {
	run, err := s.sight(ctx, auth.View).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	if err := s.library.load(ctx, &run.RunInfo); err != nil {
		return nil, err
	}
	d, err := s.rt.Replay(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	return ok(&api.Replay{RunID: in.Run, Same: d == nil, Divergence: d}), nil
}

type getUsage struct {
	OneRun
	Tree bool `query:"tree" doc:"with all runs below it"`
}

func (s *Server) getUsage(ctx context.Context, in *getUsage) (*result[llm.Spending], error) {
	if _, err := s.sight(ctx, auth.View).run(ctx, in.Run); err != nil {
		return nil, err
	}
	var sum llm.Spending
	var err error
	if in.Tree {
		sum, err = llm.SpentByTree(ctx, s.rt, in.Run)
	} else {
		sum, err = llm.Spent(s.rt.Ledger(ctx, in.Run, 1))
	}
	if err != nil {
		return nil, err
	}
	return ok(&sum), nil
}
