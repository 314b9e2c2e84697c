package api

import (
	"time"

	"github.com/bide-dev/bide"
)

// SubscriptionSpec is what a subscription is made of.
type SubscriptionSpec struct {
	// URL is where messages go: https, or, where private addresses are allowed, http.
	URL string `json:"url"`
	// Types are kinds of ledger records, such as run.completed. "wait.opened" is about waits that somebody has to
	// answer and that are still open when their turn comes. Defaults to wait.opened and the three ends of a run.
	Types []string `json:"types,omitempty"`
	// Workflows and Labels narrow it, as in TokenSpec.
	Workflows []string          `json:"workflows,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// Subscription is a subscription as it is kept; its secrets are not shown.
type Subscription struct {
	ID string `json:"subscription_id"`
	SubscriptionSpec
	Namespace string    `json:"namespace,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
	// Disabled is why nothing is sent any more; empty when it is.
	Disabled string `json:"disabled,omitempty"`
}

// WebhookList lists subscriptions.
type WebhookList struct {
	Webhooks []Subscription `json:"webhooks" nullable:"false"`
}

// MadeWebhook is a subscription with its secret.
type MadeWebhook struct {
	Subscription
	Secret string `json:"secret" doc:"verifies what is sent; shown this once"`
}

// NewSecret is the new secret of a subscription.
type NewSecret struct {
	Secret string `json:"secret" doc:"verifies what is sent from now on; shown this once"`
}

// Style is the way in which requests to a hook are signed.
type Style string

// The styles.
const (
	StyleStandard Style = "standard" // Standard Webhooks; the event's id is the message's
	StyleGitHub   Style = "github"   // X-Hub-Signature-256; without a time, so only the id stands against replays
	StyleStripe   Style = "stripe"   // Stripe-Signature; the event's id is the body's hash, as for GitHub
)

// HookSpec says what becomes of requests to a hook: an event with the request's body as its payload.
type HookSpec struct {
	Style Style `json:"style"`
	// Secret is the sender's, when it chooses it; at least 16 bytes. Defaults to a new one.
	Secret string `json:"secret,omitempty"`
	// Scope, ScopeID and Name are those of the event, and Keep is as in bide.Event.
	Scope   bide.Scope    `json:"scope"`
	ScopeID string        `json:"scope_id,omitempty"`
	Name    string        `json:"name"`
	Keep    bide.Duration `json:"keep,omitempty"`
}

// Hook is a hook as it is kept; its secret is not shown.
type Hook struct {
	ID string `json:"hook_id"` // part of its URL
	HookSpec
	Namespace string    `json:"namespace,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
}

// HookList lists hooks.
type HookList struct {
	Hooks []Hook `json:"hooks" nullable:"false"`
}
