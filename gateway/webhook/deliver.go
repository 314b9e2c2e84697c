package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/tool"
)

// WorkflowID is the workflow whose runs are the messages that are sent.
const WorkflowID = "bide.webhook"

// LabelSubscription is the label of a message's run that names its subscription.
const LabelSubscription = auth.ReservedLabels + "webhook"

const typeSend = "bide.webhook.send"

// message is what is sent: the input of a delivery's run.
type message struct {
	ID           string            `json:"id"` // the same for every attempt and when it is sent again
	Subscription string            `json:"subscription_id"`
	Body         bide.JSON         `json:"body"`
	Retry        *bide.RetryPolicy `json:"retry"`
	Timeout      bide.Duration     `json:"timeout"`
}

// Receipt is the output of a delivery's run.
type Receipt struct {
	MessageID string `json:"message_id"`
	Status    int    `json:"status"` // of the receiver's answer
}

var deliveries = bide.Workflow{ID: WorkflowID, Version: "1", Entry: "send", Exits: map[string][]string{"send": {bide.End}},
	Nodes: bide.Nodes{"send": func(r *bide.Run) (bide.StepPlan, error) {
		m, err := bide.Input[message](r)
		if err != nil {
			return bide.StepPlan{}, err
		}
		send := bide.Call(typeSend, m).As("receipt").WithAttemptTimeout(time.Duration(m.Timeout))
		send.Retry = m.Retry
		return bide.Do(send).ThenCompleteWith("receipt"), nil
	}}}

// messageID follows from what a message is about, so that it is made once.
func messageID(subscription, run string, seq int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", subscription, run, seq))
	return fmt.Sprintf("msg_%x", sum[:16])
}

// begin starts the run of a message, unless it is there.
func (h *Hooks) begin(ctx context.Context, runID string, d *Subscription, m message, cmd bide.Command) error {
	labels := map[string]string{LabelSubscription: d.ID}
	if d.Namespace != "" {
		labels[auth.NamespaceLabel] = d.Namespace
	}
	_, err := h.rt.Start(ctx, deliveries, m, &bide.StartOptions{RunID: runID, Labels: labels, Command: cmd})
	if errors.Is(err, bide.ErrExists) { // made by a server with another retry policy
		return nil
	}
	return err
}

// Redeliver sends a message again, under its id: it goes on with one that failed, and begins a new run for
// one that was received or cancelled. It returns that run. The command's id makes it safe to call twice. It fails with ErrNotFound when
// the principal's namespace has no such message, and with ErrWrongStatus when it is still being sent.
func (h *Hooks) Redeliver(ctx context.Context, p *auth.Principal, runID string, cmd bide.Command) (*bide.Run, error) {
	run, err := h.rt.Get(ctx, runID)
	if err == nil && (run.Workflow != WorkflowID || run.Labels[auth.NamespaceLabel] != p.Namespace) {
		err = bide.Errorf(bide.CodeNotFound, "there is no message %q", runID)
	}
	if err != nil {
		return nil, err
	}
	m, err := bide.Input[message](run)
	if err != nil {
		return nil, err
	}
	d, _, err := h.subscription(ctx, p, m.Subscription)
	if err != nil {
		return nil, err
	}
	switch {
	case run.Status == bide.StatusFailed:
		return h.rt.Retry(ctx, runID, cmd)
	case !run.Status.Final():
		return nil, bide.Errorf(bide.CodeWrongStatus, "message %s is still being sent: it is %s", runID, run.Status)
	case cmd.ID == "":
		cmd.ID = newID()
	}
	again := fmt.Sprintf("webhook-%x", sha256.Sum256([]byte(runID+" "+cmd.ID)))[:len("webhook-")+32]
	if err := h.begin(ctx, again, &d.Subscription, m, cmd); err != nil {
		return nil, err
	}
	return h.rt.Get(ctx, again)
}

// send makes one attempt.
func (h *Hooks) send(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
	var m message
	if err := json.Unmarshal(call.Payload, &m); err != nil {
		return bide.Outcome{}, bide.Permanent(err)
	}
	d, _, err := get[subscriptionDoc](ctx, h.store, subscriptionKind, m.Subscription)
	switch {
	case errors.Is(err, bide.ErrNotFound):
		return bide.Outcome{}, bide.Permanent(errors.New("the subscription has ended"))
	case err != nil:
		return bide.Outcome{}, err
	case d.Disabled != "":
		return bide.Outcome{}, bide.Permanent(errors.New("the subscription is disabled: " + d.Disabled))
	}
	leave, ok := h.busy.enter(ctx, h.opts.Clock, d.ID)
	if !ok { // come again, without an attempt lost and without holding a place of the worker meanwhile
		later := h.now().Add(busyFor/2 + rand.N(busyFor))
		return bide.Waiting(bide.Wait{Again: true, Message: "The receiver is busy with other messages.", Default: bide.JSON("null"), ExpiresAt: later}), nil
	}
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(m.Body))
	if err != nil {
		return bide.Outcome{}, bide.Permanent(withoutURL(err))
	}
	if err := Sign(req.Header, d.secrets(h.now()), m.ID, h.now(), m.Body); err != nil {
		return bide.Outcome{}, bide.Permanent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "bide-webhook/1")
	res, err := h.client.Do(req)
	if err != nil {
		err = withoutURL(err)
		if errors.Is(err, tool.ErrNotPublic) {
			err = bide.Permanent(err)
		}
		return bide.Outcome{}, err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again; what is said does not matter
	return h.received(ctx, d.ID, m.ID, res)
}

// received says what the receiver's answer means.
func (h *Hooks) received(ctx context.Context, subscription, id string, res *http.Response) (bide.Outcome, error) {
	err := fmt.Errorf("the receiver answers %s", res.Status)
	switch {
	case res.StatusCode/100 == 2:
		return bide.Completed(Receipt{id, res.StatusCode}), nil
	case res.StatusCode == http.StatusGone:
		return bide.Outcome{}, bide.Permanent(errors.Join(err, h.disable(ctx, subscription, "the receiver answered 410 Gone")))
	}
	if sec, perr := strconv.Atoi(res.Header.Get("Retry-After")); perr == nil && sec > 0 {
		err = bide.RetryAfter(err, min(time.Duration(sec)*time.Second, 24*time.Hour))
	}
	return bide.Outcome{}, err
}

// withoutURL leaves the URL out of an error: it may hold a secret.
func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return fmt.Errorf("the receiver cannot be reached: %w", at.Err)
	}
	return err
}

// gate lets a bounded number in at once per subscription, and a bounded number wait for a moment, so that a slow
// receiver does not hold all places of the worker.
type gate struct {
	mu    sync.Mutex
	rooms map[string]*room
}

type room struct {
	users  int // inside or in line; guarded by gate.mu
	places chan struct{}
}

const (
	perSubscription = 8
	inLine          = 24
	lineFor         = time.Second
	busyFor         = 2 * time.Second
)

func newGate() *gate { return &gate{rooms: map[string]*room{}} }

// enter returns how to leave again, or false when there was no room in time.
func (g *gate) enter(ctx context.Context, clock bide.Clock, id string) (leave func(), ok bool) {
	g.mu.Lock()
	r := g.rooms[id]
	if r == nil {
		r = &room{places: make(chan struct{}, perSubscription)}
		g.rooms[id] = r
	}
	if r.users == perSubscription+inLine {
		g.mu.Unlock()
		return nil, false
	}
	r.users++
	g.mu.Unlock()
	over := make(chan struct{})
	defer clock.AfterFunc(lineFor, func() { close(over) })()
	select {
	case r.places <- struct{}{}:
		return func() { <-r.places; g.done(id, r) }, true
	case <-over:
	case <-ctx.Done():
	}
	g.done(id, r)
	return nil, false
}

func (g *gate) done(id string, r *room) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.users--; r.users == 0 {
		delete(g.rooms, id)
	}
}
