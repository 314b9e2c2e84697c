package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

const tagWaits = "waits"

func (s *Server) registerWaits() {
	register(s, operation{id: "list-waits", method: http.MethodGet, path: "/v1/waits", tag: tagWaits, right: auth.View,
		summary: "The open waits of all runs, oldest first", about: "A page may be shorter than the limit and not be the last."}, s.listWaits)
	register(s, operation{id: "get-wait", method: http.MethodGet, path: "/v1/waits/{wait}", tag: tagWaits, right: auth.View,
		summary: "A wait, open or not"}, s.getWait)
	register(s, operation{id: "answer-wait", method: http.MethodPost, path: "/v1/waits/{wait}/answer", tag: tagWaits, right: auth.Decide,
		summary: "Answer a wait",
		about: "A question, a form, an event and a handler's own wait take {\"answer\": …}; a tool_approval {\"decisions\": […]} or {\"approved\": true}; a budget {\"type\": \"raise\", …} or {\"type\": \"stop\"}; " +
			"an effect in doubt {\"type\": \"done\", \"result\": …}, {\"type\": \"again\"} or {\"type\": \"fail\", \"message\": …}; a job {\"result\": …} or {\"error\": …}. " +
			"The same answer again gets the same reply; 409 already_decided says who gave another one, 410 expired that the deadline is over, 412 args_changed that the arguments are other ones now, 422 invalid_answer everything that is wrong, 403 forbidden that others decide."}, s.answerWait)
}

type listWaits struct {
	Paged
	Kinds []string `query:"kind,explode" maxItems:"20" doc:"only these kinds"`
	Key   string   `query:"key" maxLength:"2000" doc:"only with that key"`
	Run   string   `query:"run" maxLength:"200" doc:"only of that run"`
	Root  string   `query:"root" maxLength:"200" doc:"only of that run and all below it"`
	ForWhom
}

// ForWhom is the input of listings of waits: which to leave out.
type ForWhom struct {
	Mine     bool `query:"mine" doc:"only those that you may answer"`
	Internal bool `query:"internal" doc:"with those of bide itself: of schedules and kept flows"`
}

func (in *listWaits) query() bide.WaitQuery {
	q := bide.WaitQuery{Key: in.Key, Run: in.Run, Root: in.Root, Limit: in.Limit, Cursor: in.Cursor}
	for _, k := range in.Kinds {
		q.Kinds = append(q.Kinds, bide.WaitKind(k))
	}
	return q
}

func (s *Server) listWaits(ctx context.Context, in *listWaits) (*result[api.WaitPage], error) {
	page, err := s.rt.Waits(ctx, in.query())
	if err != nil {
		return nil, err
	}
	v := s.sight(ctx, auth.View)
	out := &api.WaitPage{Waits: []api.Wait{}, Next: page.Next}
	for i := range page.Waits {
		w, err := v.wait(ctx, &page.Waits[i], in.ForWhom)
		if err != nil {
			return nil, err
		}
		if w != nil {
			out.Waits = append(out.Waits, *w)
		}
	}
	return ok(out), nil
}

// wait returns an open wait as it travels; nil when it is not seen or not wanted.
func (v *sight) wait(ctx context.Context, w *bide.Wait, which ForWhom) (*api.Wait, error) {
	id, _ := bide.WaitRun(w.ID)
	run, err := v.run(ctx, id)
	if errors.Is(err, bide.ErrNotFound) {
		return nil, nil
	}
	if err != nil || ours(run.Workflow) && !which.Internal {
		return nil, err
	}
	if which.Mine && len(w.Assignees) > 0 && !slices.ContainsFunc(append([]string{v.p.Actor}, v.p.Groups...), func(who string) bool { return slices.Contains(w.Assignees, who) }) {
		return nil, nil
	}
	return newWait(&run.RunInfo, w, nil), nil
}

// newWait makes a wait as it travels. What a handler keeps for itself stays here.
func newWait(run *bide.RunInfo, w *bide.Wait, d *bide.Decision) *api.Wait {
	out := &api.Wait{Wait: *w, RunID: run.ID, Workflow: bide.GrantsOf(run.Workflow, run.Labels), Status: api.WaitOpen, Quorum: 1, Decision: d}
	out.State = nil
	switch {
	case d == nil:
		return out
	case d.By == bide.ByAnswer:
		out.Status = api.WaitAnswered
	case d.By == bide.ByDeadline:
		out.Status = api.WaitExpired
	default:
		out.Status = api.WaitClosed
	}
	out.Items = slices.Clone(out.Items)
	for i := range out.Items {
		out.Items[i].Status = out.Status
	}
	return out
}

// OneWait is the input of what is about one wait.
type OneWait struct {
	Wait string `path:"wait" maxLength:"250" doc:"id of the wait"`
}

func (s *Server) getWait(ctx context.Context, in *OneWait) (*result[api.Wait], error) {
	run, err := s.runOfWait(ctx, auth.View, in.Wait)
	if err != nil {
		return nil, err
	}
	if w := run.Wait(in.Wait); w != nil {
		return ok(newWait(&run.RunInfo, w, nil)), nil
	}
	w, err := s.closedWait(ctx, run, in.Wait)
	if err != nil {
		return nil, err
	}
	return ok(w), nil
}

// runOfWait returns the run of a wait, if it is seen.
func (s *Server) runOfWait(ctx context.Context, right auth.Right, waitID string) (*bide.Run, error) {
	missing := &bide.Error{Code: bide.CodeNotFound, Message: "there is no wait " + waitID, Wait: waitID}
	id, ok := bide.WaitRun(waitID)
	if !ok {
		return nil, missing
	}
	run, err := s.sight(ctx, right).run(ctx, id)
	if errors.Is(err, bide.ErrNotFound) {
		return nil, missing
	}
	return run, err
}

// closedWait finds a wait that is no longer open in the ledger of its run.
func (s *Server) closedWait(ctx context.Context, run *bide.Run, waitID string) (*api.Wait, error) {
	if run.Shredded != nil {
		return nil, bide.Errorf(bide.CodeShredded, "what wait %s was about was destroyed at %s", waitID, run.Shredded.At.Format(time.RFC3339))
	}
	var by *bide.Decision
	for rec, err := range s.backwards(ctx, run.ID, run.Seq) {
		if err != nil {
			return nil, err
		}
		if rec.Kind != bide.KindWaitOpened && rec.Kind != bide.KindWaitResolved {
			continue
		}
		data, err := rec.Decode()
		if err != nil {
			return nil, err
		}
		switch d := data.(type) {
		case *bide.WaitResolved:
			if d.WaitID == waitID {
				by = &bide.Decision{Wait: waitID, By: d.By, Answer: d.Answer, Actor: rec.Actor, At: rec.At, Seq: rec.Seq}
			}
		case *bide.Wait:
			if d.ID != waitID {
				continue
			}
			if by == nil { // its step or run ended without it
				by = &bide.Decision{Wait: waitID, By: "end of its step", At: run.UpdatedAt, Seq: run.Seq}
			}
			return newWait(&run.RunInfo, d, by), nil
		}
	}
	return nil, &bide.Error{Code: bide.CodeNotFound, Message: "there is no wait " + waitID, Wait: waitID}
}

// backwards yields a run's records from number seq down: what is looked for is mostly near the end.
func (s *Server) backwards(ctx context.Context, runID string, seq int64) iter.Seq2[bide.Record, error] {
	const page = 64
	return func(yield func(bide.Record, error) bool) {
		for to := seq; to > 0; to -= page {
			from := max(to-page+1, 1)
			raws, err := s.store.Records(ctx, runID, from, int(to-from+1))
			if err != nil {
				yield(bide.Record{}, err)
				return
			}
			for _, raw := range slices.Backward(raws) {
				rec, err := bide.ParseRecord(raw)
				if !yield(rec, err) || err != nil {
					return
				}
			}
		}
	}
}

type answerWait struct {
	Keyed
	OneWait
	Body json.RawMessage
}

func (s *Server) answerWait(ctx context.Context, in *answerWait) (*result[api.Accepted], error) {
	run, err := s.runOfWait(ctx, auth.Decide, in.Wait)
	if err != nil {
		return nil, err
	}
	w := run.Wait(in.Wait)
	if w == nil {
		closed, err := s.closedWait(ctx, run, in.Wait)
		if err != nil {
			return nil, err
		}
		w = &closed.Wait
	}
	given, err := answerIn(w, in.Body)
	if err != nil {
		return nil, err
	}
	after, err := s.rt.Resume(ctx, run.ID, in.Wait, given, in.command(ctx, ""))
	if err != nil {
		return nil, err
	}
	closed, err := s.closedWait(ctx, after, in.Wait)
	if err != nil {
		return nil, err
	}
	out := &api.Accepted{Wait: *closed, Remaining: []api.Wait{}}
	for i := range after.Waits {
		out.Remaining = append(out.Remaining, *newWait(&after.RunInfo, &after.Waits[i], nil))
	}
	return ok(out), nil
}

// answerIn takes the answer out of a body: some kinds have it in a member, for others it is the body.
func answerIn(w *bide.Wait, body json.RawMessage) (bide.JSON, error) {
	if api.AnswerIsBody(w.Kind) {
		return body, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members["answer"] == nil || len(members) != 1 {
		return nil, &bide.Error{Code: bide.CodeInvalidAnswer, Wait: w.ID, Message: fmt.Sprintf("the answer to a wait of kind %s has the form {\"answer\": …}", w.Kind),
			Faults: []bide.Fault{{Path: "", Message: `the body is an object with the member "answer" and no other`}}}
	}
	return members["answer"], nil
}
