package webhook

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/tool"
)

// SubscriptionSpec is what a subscription is made of.
type SubscriptionSpec = api.SubscriptionSpec

// Subscription is a subscription as it is kept; its secrets are not shown.
type Subscription = api.Subscription

// defaultTypes are what most want to hear of.
var defaultTypes = []string{string(bide.KindWaitOpened), string(bide.KindRunCompleted), string(bide.KindRunFailed), string(bide.KindRunCancelled)}

// kinds are the types that there are.
var kinds = []bide.Kind{
	bide.KindRunStarted, bide.KindStepPlanned, bide.KindStepFailed, bide.KindEffectStarted, bide.KindEffectCompleted, bide.KindEffectFailed,
	bide.KindEffectInterrupted, bide.KindEffectLate, bide.KindWaitOpened, bide.KindWaitResolved, bide.KindRunCompleted, bide.KindRunFailed,
	bide.KindRunCancelled, bide.KindRunPaused, bide.KindRunUnpaused, bide.KindRunRetried, bide.KindRunForked, bide.KindRunMigrated,
	bide.KindRunContinued, bide.KindMailForwarded, bide.KindChildContinued, bide.KindGrantRevoked, bide.KindRunShredded,
}

const subscriptionKind = "webhook"

// subscriptionDoc is the body of a document.
type subscriptionDoc struct {
	Subscription
	// Secrets sign; the first is the newest. They are kept as they are: signing needs them.
	Secrets []secret `json:"secrets"`
	// Since is the position of the feed at its creation.
	Since int64 `json:"since"`
}

type secret struct {
	Text  string    `json:"text"`
	Until time.Time `json:"until,omitzero"` // zero for the newest
}

// secretOverlap is how long a secret still signs after the next one was made.
const secretOverlap = 24 * time.Hour

func (d *subscriptionDoc) secrets(now time.Time) (out []string) {
	for _, s := range d.Secrets {
		if s.Until.IsZero() || now.Before(s.Until) {
			out = append(out, s.Text)
		}
	}
	return out
}

// Subscribe makes a subscription of a principal's namespace and returns its secret, which cannot be had again. Every
// event after it returned is sent. It fails with ErrInvalidInput, listing every fault, when the spec cannot be used.
func (h *Hooks) Subscribe(ctx context.Context, p *auth.Principal, spec SubscriptionSpec) (text string, s Subscription, err error) {
	if len(spec.Types) == 0 {
		spec.Types = defaultTypes
	}
	if err := h.checkSpec(p, &spec); err != nil {
		return "", s, err
	}
	end, err := h.store.Feed(ctx, bide.FeedQuery{After: bide.FeedEnd})
	if err != nil {
		return "", s, fmt.Errorf("end of the feed: %w", err)
	}
	if _, err := h.cursor(ctx, end.Next); err != nil {
		return "", s, fmt.Errorf("cursor of the feed: %w", err)
	}
	text = NewSecret()
	d := subscriptionDoc{Since: end.Next, Secrets: []secret{{Text: text}}, Subscription: Subscription{
		ID: newID(), SubscriptionSpec: spec, Namespace: p.Namespace, CreatedAt: h.now(), CreatedBy: p.Actor}}
	if err := h.put(ctx, subscriptionKind, d.ID, 0, d); err != nil {
		return "", s, fmt.Errorf("keep subscription: %w", err)
	}
	return text, d.Subscription, nil
}

func (h *Hooks) checkSpec(p *auth.Principal, spec *SubscriptionSpec) error {
	var faults []bide.Fault
	if msg := h.checkURL(spec.URL); msg != "" {
		faults = append(faults, bide.Fault{Path: "/url", Message: msg})
	}
	for i, typ := range spec.Types {
		if !slices.Contains(kinds, bide.Kind(typ)) {
			faults = append(faults, bide.Fault{Path: fmt.Sprintf("/types/%d", i), Message: fmt.Sprintf("%q is none of %v", typ, kinds)})
		}
	}
	// A subscription sees no more than whoever makes it.
	if given := (&auth.TokenSpec{Namespace: p.Namespace, Workflows: spec.Workflows, Labels: spec.Labels}); len(faults) == 0 {
		return p.MayGive(given)
	}
	return &bide.Error{Code: bide.CodeInvalidInput, Message: "the subscription cannot be made", Faults: faults}
}

func (h *Hooks) checkURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || len(text) > 2000:
		return "is not a URL"
	case u.User != nil:
		return "holds a user name or password"
	case u.Scheme != "https" && (u.Scheme != "http" || !h.opts.AllowPrivate):
		return "does not begin with https://; the setting webhooks.private lets http:// and private addresses be told"
	}
	if at, err := netip.ParseAddr(strings.Trim(u.Hostname(), "[]")); err == nil && !h.opts.AllowPrivate && !tool.PublicAddr(at) {
		return "is not a public address"
	}
	return ""
}

// mine reports whether something of a namespace, limited to workflows and labels, is what a principal could make.
func mine(p *auth.Principal, namespace string, workflows []string, labels map[string]string) bool {
	return namespace == p.Namespace && p.MayGive(&auth.TokenSpec{Namespace: namespace, Workflows: workflows, Labels: labels}) == nil
}

// Subscriptions lists those of a principal's namespace that it could make.
func (h *Hooks) Subscriptions(ctx context.Context, p *auth.Principal) (out []Subscription, err error) {
	all, err := h.subscriptions(ctx)
	for _, d := range all {
		if mine(p, d.Namespace, d.Workflows, d.Labels) {
			out = append(out, d.Subscription)
		}
	}
	return out, err
}

func (h *Hooks) subscriptions(ctx context.Context) ([]subscriptionDoc, error) {
	return list[subscriptionDoc](ctx, h.store, subscriptionKind)
}

// Unsubscribe ends a subscription: what was not sent is not sent any more. It fails with ErrNotFound when the
// principal's namespace has no such subscription.
func (h *Hooks) Unsubscribe(ctx context.Context, p *auth.Principal, id string) error {
	for {
		_, rev, err := h.subscription(ctx, p, id)
		if err != nil {
			return err
		}
		if err = h.store.DeleteDocument(ctx, subscriptionKind, id, rev); !errors.Is(err, bide.ErrConflict) {
			return err
		}
	}
}

// Rotate makes a new secret for a subscription and returns it. Messages are signed with the old one as well for 24 hours.
// A subscription that was disabled is sent to again.
func (h *Hooks) Rotate(ctx context.Context, p *auth.Principal, id string) (text string, err error) {
	for {
		d, rev, err := h.subscription(ctx, p, id)
		if err != nil {
			return "", err
		}
		now, kept := h.now(), []secret(nil)
		for _, s := range d.Secrets {
			if s.Until.IsZero() {
				s.Until = now.Add(secretOverlap)
			}
			if now.Before(s.Until) && len(kept) < 4 {
				kept = append(kept, s)
			}
		}
		text = NewSecret()
		d.Secrets, d.Disabled = append([]secret{{Text: text}}, kept...), ""
		if err = h.put(ctx, subscriptionKind, id, rev, d); !errors.Is(err, bide.ErrConflict) {
			return text, err
		}
	}
}

// disable ends the sending to a receiver that says it is gone.
func (h *Hooks) disable(ctx context.Context, id, why string) error {
	for {
		d, rev, err := get[subscriptionDoc](ctx, h.store, subscriptionKind, id)
		if errors.Is(err, bide.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		d.Disabled = why
		if err = h.put(ctx, subscriptionKind, id, rev, d); !errors.Is(err, bide.ErrConflict) {
			return err
		}
	}
}

func (h *Hooks) subscription(ctx context.Context, p *auth.Principal, id string) (*subscriptionDoc, int64, error) {
	d, rev, err := find[subscriptionDoc](ctx, h.store, subscriptionKind, id)
	if err == nil && !mine(p, d.Namespace, d.Workflows, d.Labels) {
		err = bide.Errorf(bide.CodeNotFound, "there is no subscription %q", id)
	}
	return d, rev, err
}

const idBytes = 12

func newID() string {
	raw := make([]byte, idBytes)
	rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

func (h *Hooks) put(ctx context.Context, kind, id string, rev int64, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = h.store.PutDocument(ctx, bide.Document{Kind: kind, ID: id, Rev: rev, Body: body, UpdatedAt: h.now()})
	return err
}

func get[T any](ctx context.Context, docs bide.Documents, kind, id string) (*T, int64, error) {
	doc, err := docs.Document(ctx, kind, id)
	if err != nil {
		return nil, 0, err
	}
	var value T
	if err := json.Unmarshal(doc.Body, &value); err != nil {
		return nil, 0, bide.Errorf(bide.CodeCorrupt, "document %s of kind %s: %w", id, kind, err)
	}
	return &value, doc.Rev, nil
}

// find is get for an id that a client gives: what newID cannot have made is not looked for.
func find[T any](ctx context.Context, docs bide.Documents, kind, id string) (*T, int64, error) {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != idBytes {
		return nil, 0, bide.Errorf(bide.CodeNotFound, "there is no %s with such an id", kind)
	}
	return get[T](ctx, docs, kind, id)
}

func list[T any](ctx context.Context, docs bide.Documents, kind string) (out []T, err error) {
	for q := (bide.DocumentQuery{Kind: kind, Limit: 1000}); ; {
		page, err := docs.Documents(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, doc := range page.Documents {
			var value T
			if err := json.Unmarshal(doc.Body, &value); err != nil {
				return nil, bide.Errorf(bide.CodeCorrupt, "document %s of kind %s: %w", doc.ID, kind, err)
			}
			out = append(out, value)
		}
		if q.After = page.Next; q.After == "" {
			return out, nil
		}
	}
}
