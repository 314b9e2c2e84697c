package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
)

const (
	cursorKind = "webhook-cursor"
	cursorID   = "feed"
	pageSize   = 500
	sweepEvery = time.Hour
)

// cursorDoc is how far the feed was read.
type cursorDoc struct {
	After int64 `json:"after"`
}

// cursor returns the cursor, which begins at a position when there is none.
func (h *Hooks) cursor(ctx context.Context, begin int64) (c *cursorDoc, err error) {
	c, _, err = get[cursorDoc](ctx, h.store, cursorKind, cursorID)
	if !errors.Is(err, bide.ErrNotFound) {
		return c, err
	}
	if err = h.put(ctx, cursorKind, cursorID, 0, cursorDoc{begin}); errors.Is(err, bide.ErrConflict) {
		err = nil // somebody else was faster; what they read before is before the end
	}
	return &cursorDoc{begin}, err
}

// advance keeps how far the feed was read. The cursor never goes back: another server may be ahead.
func (h *Hooks) advance(ctx context.Context, to int64) error {
	for {
		c, rev, err := get[cursorDoc](ctx, h.store, cursorKind, cursorID)
		if err != nil || c.After >= to {
			return err
		}
		if err = h.put(ctx, cursorKind, cursorID, rev, cursorDoc{to}); !errors.Is(err, bide.ErrConflict) {
			return err
		}
	}
}

// Run reads what happens to runs and begins the messages about it, until ctx ends. It goes on where this or another process was.
// Several servers may do so at once: a message is made once. Workers send them.
func (h *Hooks) Run(ctx context.Context) error {
	some := make(chan struct{}, 1)
	tell := func() {
		select {
		case some <- struct{}{}:
		default:
		}
	}
	defer h.rt.Observe(func(bide.Notice) { tell() })()
	r := &reader{h: h}
	for swept := (time.Time{}); ctx.Err() == nil; {
		err := r.catchUp(ctx)
		if err == nil && h.now().Sub(r.savedAt) >= saveEvery {
			err = r.save(ctx)
		}
		if err != nil && ctx.Err() == nil {
			h.opts.Logger.Error("webhooks cannot go on; trying again", "err", err)
		}
		if now := h.now(); now.Sub(swept) >= sweepEvery {
			swept = now
			if err := h.Sweep(ctx); err != nil && ctx.Err() == nil {
				h.opts.Logger.Error("old webhook messages cannot be removed", "err", err)
			}
		}
		h.pause(ctx, nil, pace)
		h.pause(ctx, some, h.opts.Poll)
	}
	return nil
}

// pause waits until something comes, d is over or ctx ends.
func (h *Hooks) pause(ctx context.Context, some <-chan struct{}, d time.Duration) {
	over := make(chan struct{})
	defer h.opts.Clock.AfterFunc(d, func() { close(over) })()
	select {
	case <-some:
	case <-over:
	case <-ctx.Done():
	}
}

// CatchUp begins the messages about all that has happened up to now. Run does it over and over.
func (h *Hooks) CatchUp(ctx context.Context) error {
	r := &reader{h: h}
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	return r.save(ctx)
}

// reader reads the feed. It keeps its position now and then only: what is read again begins the same messages.
type reader struct {
	h       *Hooks
	begun   bool
	at      int64 // up to here was read
	saved   int64
	savedAt time.Time
}

const (
	saveEvery = time.Second
	// pace is the least time between two looks, so that many commits are looked at together.
	pace = 20 * time.Millisecond
)

func (r *reader) catchUp(ctx context.Context) error {
	if !r.begun {
		c, _, err := get[cursorDoc](ctx, r.h.store, cursorKind, cursorID)
		if errors.Is(err, bide.ErrNotFound) { // nobody has ever subscribed
			return nil
		}
		if err != nil {
			return err
		}
		r.begun, r.at, r.saved = true, c.After, c.After
	}
	for more := true; more; {
		page, err := r.h.store.Feed(ctx, bide.FeedQuery{After: r.at, Limit: pageSize})
		if err != nil {
			return err
		}
		if page.Next == r.at {
			return nil
		}
		// Listed after the page was read: who subscribed before a record was made is there.
		subs, err := r.h.subscriptions(ctx)
		if err != nil {
			return err
		}
		for _, rec := range page.Records {
			if err := r.h.announce(ctx, subs, &rec); err != nil {
				return fmt.Errorf("record at %d of run %s: %w", rec.Pos, rec.RunID, err)
			}
		}
		r.at, more = page.Next, page.More
	}
	return nil
}

func (r *reader) save(ctx context.Context) error {
	if r.at == r.saved {
		return nil
	}
	if err := r.h.advance(ctx, r.at); err != nil {
		return err
	}
	r.saved, r.savedAt = r.at, r.h.now()
	return nil
}

// announce begins the messages about one record.
func (h *Hooks) announce(ctx context.Context, subs []subscriptionDoc, r *bide.FeedRecord) error {
	rec, err := bide.ParseRecord(r.Body)
	if err != nil {
		return err
	}
	var run *bide.Run
	for i := range subs {
		d := &subs[i]
		if d.Disabled != "" || r.Pos <= d.Since || !slices.Contains(d.Types, string(rec.Kind)) {
			continue
		}
		if run == nil {
			run, err = h.rt.Get(ctx, r.RunID)
			if errors.Is(err, bide.ErrNotFound) { // deleted meanwhile
				return nil
			}
			if err != nil {
				return err
			}
			if run.Workflow == WorkflowID { // messages about messages would never end
				return nil
			}
		}
		sees := auth.Principal{Namespace: d.Namespace, Workflows: d.Workflows, Labels: d.Labels}
		if ok, err := h.trees.Sees(ctx, &sees, &run.RunInfo); !ok || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		body, ok, err := payload(&sees, run, &rec)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		id := messageID(d.ID, r.RunID, rec.Seq)
		m := message{ID: id, Subscription: d.ID, Body: body, Retry: h.opts.Retry, Timeout: bide.Duration(h.opts.Timeout)}
		if err := h.begin(ctx, "webhook-"+strings.TrimPrefix(id, "msg_"), &d.Subscription, m, bide.Command{}); err != nil {
			return err
		}
	}
	return nil
}

// Message is the body of what is sent. It says what happened to which run, and no inputs or outputs: a receiver
// that may see them asks for them.
type Message struct {
	Type      string    `json:"type"` // the kind of the record
	Timestamp time.Time `json:"timestamp"`
	Data      Data      `json:"data"`
}

// Data says what a message is about.
type Data struct {
	RunID    string            `json:"run_id"`
	Workflow string            `json:"workflow"`
	Key      string            `json:"key,omitempty"`
	Session  string            `json:"session,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Seq      int64             `json:"seq"` // of the record in the run's ledger
	Node     string            `json:"node,omitempty"`
	Step     int64             `json:"step,omitempty"`
	Actor    string            `json:"actor,omitempty"`
	Wait     *WaitData         `json:"wait,omitempty"`  // with wait.opened
	Error    string            `json:"error,omitempty"` // with run.failed: the code of the failure
}

// WaitData is what somebody needs to know to answer a wait.
type WaitData struct {
	ID        string        `json:"wait_id"`
	Kind      bide.WaitKind `json:"kind"`
	Message   string        `json:"message,omitempty"`
	Choices   []string      `json:"choices,omitempty"`
	Assignees []string      `json:"assignees,omitempty"`
	ExpiresAt time.Time     `json:"expires_at,omitzero"`
}

// answered are the kinds of waits that somebody outside resolves.
var answered = []bide.WaitKind{bide.WaitQuestion, bide.WaitForm, bide.WaitJob, bide.WaitAttention, bide.WaitCustom, bide.WaitToolApproval, bide.WaitBudget}

// payload is the body of the message about a record, if there is to be one.
func payload(p *auth.Principal, run *bide.Run, rec *bide.Record) (body []byte, ok bool, err error) {
	value, err := rec.Decode()
	if err != nil && !rec.IsSealed() {
		return nil, false, err
	}
	data := Data{RunID: run.ID, Workflow: run.Workflow, Labels: run.Labels, Seq: rec.Seq, Node: rec.Node, Step: rec.Step, Actor: rec.Actor}
	data.Key, _ = p.Local(run.Key)
	data.Session, _ = p.Local(run.Session)
	switch v := value.(type) {
	case *bide.Wait:
		if !slices.Contains(answered, v.Kind) || run.Wait(v.ID) == nil {
			return nil, false, nil
		}
		data.Wait = &WaitData{ID: v.ID, Kind: v.Kind, Message: v.Message, Choices: v.Choices, Assignees: v.Assignees, ExpiresAt: v.ExpiresAt}
	case *bide.RunFailed:
		data.Error = v.Error.Code
	}
	body, err = json.Marshal(Message{Type: string(rec.Kind), Timestamp: rec.At, Data: data})
	return body, err == nil, err
}

// Sweep removes the runs of messages that were received longer ago than Options.Keep, up to 1,000 of them.
func (h *Hooks) Sweep(ctx context.Context) error {
	page, err := h.rt.Runs(ctx, bide.RunQuery{Workflow: WorkflowID, Status: bide.StatusCompleted, UpdatedTo: h.now().Add(-h.opts.Keep), Limit: 1000})
	if err != nil {
		return err
	}
	for _, run := range page.Runs {
		if err := h.rt.Delete(ctx, run.ID); err != nil && !errors.Is(err, bide.ErrNotFound) && !errors.Is(err, bide.ErrWrongStatus) {
			return err
		}
	}
	return nil
}
