package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/trace"
)

func (s *Server) registerEvidence() {
	register(s, operation{id: "get-checkpoint", method: http.MethodGet, path: "/v1/checkpoint", tag: tagLedger, right: auth.View,
		summary: "The newest signed checkpoint of the store", about: "404 when there is none."}, s.getCheckpoint)
	register(s, operation{id: "write-checkpoint", method: http.MethodPost, path: "/v1/checkpoint", tag: tagLedger, right: auth.Admin, long: true,
		summary: "Sign what the ledgers say now", about: "A server with a key does so by itself as well, at the ends of runs and in between. 409 when it has no key."}, s.writeCheckpoint)
	register(s, operation{id: "get-proof", method: http.MethodGet, path: "/v1/runs/{run}/proof", tag: tagLedger, right: auth.View,
		summary: "What proves a run, or one of its records, to others", about: "404 when no checkpoint speaks for it yet."}, s.getProof)
	register(s, operation{id: "get-report", method: http.MethodGet, path: "/v1/runs/{run}/report", tag: tagLedger, right: auth.View, media: "text/markdown",
		summary: "What happened in a run, and who decided what", about: "Each line names its record and the record's hash."}, s.getReport)
	register(s, operation{id: "diff-runs", method: http.MethodGet, path: "/v1/runs/{run}/diff/{other}", tag: tagLedger, right: auth.View,
		summary: "Compare two runs, or a run and its fork", about: "Ids and times do not count."}, s.diffRuns)
	register(s, operation{id: "get-case", method: http.MethodGet, path: "/v1/runs/{run}/case", tag: tagLedger, right: auth.View,
		summary: "A recorded run of a flow as a case of it, for bide flow test", about: "409 when the run has not completed or failed, is a fork or was continued as another one."}, s.getCase)
}

// wide fails for principals who see a part of the store alone: those of a namespace, and those that are limited to workflows or labels.
func wide(ctx context.Context) error {
	if p := auth.From(ctx); p.Namespace != "" || p.Limited() {
		return bide.Errorf(bide.CodeForbidden, "this concerns the whole store; a principal of a namespace, or one that is limited to workflows or labels, cannot ask for it")
	}
	return nil
}

func (s *Server) getCheckpoint(ctx context.Context, _ *struct{}) (*result[api.Checkpoint], error) {
	var out *api.Checkpoint
	err := s.checkpointed(ctx, func(e *ledger.Evidence, _ []ledger.Fault) error {
		if e.Newest == nil {
			return bide.Errorf(bide.CodeNotFound, "the store has no checkpoint yet")
		}
		out = &api.Checkpoint{Note: e.Note, Origin: e.Newest.Origin, Size: e.Newest.Size, At: e.Newest.At}
		return nil
	})
	return ok(out), err
}

func (s *Server) writeCheckpoint(ctx context.Context, _ *Keyed) (*result[api.Checkpoint], error) {
	if err := wide(ctx); err != nil {
		return nil, err
	}
	if s.opts.Log == nil {
		return nil, bide.Errorf(bide.CodeWrongStatus, "this server has no key to sign checkpoints with; give it one (the setting checkpoint.key)")
	}
	if err := ledger.NewNotary(s.rt, s.store, s.opts.Log, nil).Seal(ctx); err != nil {
		return nil, err
	}
	return s.getCheckpoint(ctx, nil)
}

type getProof struct {
	OneRun
	Seq int64 `query:"seq" minimum:"0" doc:"number of a record; the whole run without"`
}

func (s *Server) getProof(ctx context.Context, in *getProof) (*result[api.Proof], error) {
	if _, err := s.sight(ctx, auth.View).run(ctx, in.Run); err != nil {
		return nil, err
	}
	var proof any
	err := s.checkpointed(ctx, func(e *ledger.Evidence, _ []ledger.Fault) (err error) {
		if in.Seq == 0 {
			proof, err = e.Prove(in.Run)
		} else {
			proof, err = e.ProveRecord(in.Run, in.Seq, s.rt.Ledger(ctx, in.Run, in.Seq))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(proof)
	if err != nil {
		return nil, err
	}
	return ok(&api.Proof{Proof: text}), nil
}

type getReport struct {
	OneRun
	Format string `query:"format" enum:"markdown,html" default:"markdown" doc:"what the report is written in"`
}

// page is an answer that is text.
type page struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *Server) getReport(ctx context.Context, in *getReport) (*page, error) {
	if _, err := s.sight(ctx, auth.View).run(ctx, in.Run); err != nil {
		return nil, err
	}
	rep, err := trace.Tell(s.rt.Ledger(ctx, in.Run, 1))
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	out := &page{ContentType: "text/markdown; charset=utf-8"}
	if in.Format == "html" {
		out.ContentType, err = "text/html; charset=utf-8", rep.HTML(&text)
	} else {
		err = rep.Markdown(&text)
	}
	out.Body = text.Bytes()
	return out, err
}

type diffRuns struct {
	OneRun
	Other string `path:"other" maxLength:"100" doc:"id of the other run"`
}

func (s *Server) diffRuns(ctx context.Context, in *diffRuns) (*result[trace.Diff], error) {
	sight := s.sight(ctx, auth.View)
	a, err := sight.run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	b, err := sight.run(ctx, in.Other)
	if err != nil {
		return nil, err
	}
	d, err := trace.Compare(a, b, s.rt.Ledger(ctx, a.ID, 1), s.rt.Ledger(ctx, b.ID, 1))
	if err != nil {
		return nil, err
	}
	return ok(d), nil
}

func (s *Server) getCase(ctx context.Context, in *OneRun) (*result[api.Case], error) {
	run, err := s.sight(ctx, auth.View).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	if s.opts.CaseOf == nil {
		return nil, bide.Errorf(bide.CodeWrongStatus, "this server makes no cases of runs")
	}
	text, faults, err := s.opts.CaseOf(ctx, run)
	if err != nil {
		return nil, err
	}
	return ok(&api.Case{Case: string(text), Faults: append([]string{}, faults...)}), nil
}
