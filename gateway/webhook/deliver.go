package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	leave, err := h.busy.enter(ctx, d.ID)
	if err != nil {
		return bide.Outcome{}, err
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

// gate lets a bounded number in at once per subscription, so that a slow
// receiver does not hold all connections.
type gate struct {
	mu     sync.Mutex
	inside map[string]chan struct{}
	users  map[string]int
}

const perSubscription = 8

func newGate() *gate { return &gate{inside: map[string]chan struct{}{}, users: map[string]int{}} }

func (g *gate) enter(ctx context.Context, id string) (leave func(), err error) {
	g.mu.Lock()
	if g.inside[id] == nil {
		g.inside[id] = make(chan struct{}, perSubscription)
	}
	room := g.inside[id]
	g.users[id]++
	g.mu.Unlock()
	done := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.users[id]--; g.users[id] == 0 {
			delete(g.users, id)
			delete(g.inside, id)
		}
	}
	select {
	case room <- struct{}{}:
		return func() { <-room; done() }, nil
	case <-ctx.Done():
		done()
		return nil, context.Cause(ctx)
	}
}
