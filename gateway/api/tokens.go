package api

import "time"

// Role is a named set of rights.
type Role string

// The roles.
const (
	RoleViewer   Role = "viewer"
	RoleOperator Role = "operator"
	RoleApprover Role = "approver"
	RoleAuthor   Role = "author"
	RoleAdmin    Role = "admin"
	RoleWorker   Role = "worker" // and nothing else: a program that carries out effects need not see runs
)

// TokenSpec is what a token is made for.
type TokenSpec struct {
	Name string `json:"name"` // for people
	// Actor is who acts with it, as it will stand in the ledger. Defaults to "token:" and the name. An agent's begins
	// with bide.AgentActor; it can ask, but never decide.
	Actor     string   `json:"actor,omitempty"`
	Groups    []string `json:"groups,omitempty"`
	Roles     []Role   `json:"roles"`
	Namespace string   `json:"namespace,omitempty"`
	// Workflows and Labels limit it to trees of runs whose first is of one of the workflows and has all of the labels.
	Workflows []string          `json:"workflows,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	// ExpiresAt is when it ends to count; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Token is what is kept of a token: all but the secret, of which only a hash is.
type Token struct {
	ID string `json:"token_id"` // begins the token after "bide_"; no secret
	TokenSpec
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
	// LastUsedAt is when it was used last, within a minute.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// TokenList lists tokens.
type TokenList struct {
	Tokens []Token `json:"tokens" nullable:"false"`
}

// MadeToken is a token with its text.
type MadeToken struct {
	Token
	Text string `json:"token" doc:"the token itself, shown this once"`
}

// Session is a browser that is let in until it logs out, its time is over, or somebody ends it.
type Session struct {
	ID        string            `json:"session_id"` // no secret
	Token     string            `json:"token_id,omitempty" doc:"the token that it was begun with, and ends with"`
	Actor     string            `json:"actor"`
	Groups    []string          `json:"groups,omitempty"`
	Roles     []Role            `json:"roles" nullable:"false"`
	Namespace string            `json:"namespace,omitempty"`
	Workflows []string          `json:"workflows,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	ExpiresAt time.Time         `json:"expires_at"`
	Current   bool              `json:"current" doc:"it is the one that this request comes with"`
}

// SessionList lists sessions.
type SessionList struct {
	Sessions []Session `json:"sessions" nullable:"false"`
}
