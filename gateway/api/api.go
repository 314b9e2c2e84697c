// Package api has the bodies of the gateway's requests and answers, for the
// gateway and its clients. They are data: it must not know how they travel, nor who makes them.
package api

import (
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/schedule"
)

// RunPage is one page of a listing of runs.
type RunPage struct {
	Runs []bide.RunInfo `json:"runs" nullable:"false"`
	Next string         `json:"next,omitempty" doc:"cursor of the next page; absent at the end"`
}

// StartRun starts a run.
type StartRun struct {
	Workflow string            `json:"workflow" minLength:"1" maxLength:"100" doc:"id of a flow or workflow"`
	Version  string            `json:"version,omitempty" maxLength:"100" doc:"defaults to the one published last"`
	Input    bide.JSON         `json:"input,omitempty" doc:"any JSON value; its numbers keep their text"`
	Key      string            `json:"key,omitempty" maxLength:"1000" doc:"names the run among those of its workflow: the same key gives the same run"`
	RunID    string            `json:"run_id,omitempty" maxLength:"100" doc:"defaults to one made from the key or the Idempotency-Key, or else to a fresh one"`
	Session  string            `json:"session,omitempty" maxLength:"1000"`
	Labels   map[string]string `json:"labels,omitempty"`
	Timeout  bide.Duration     `json:"timeout,omitempty" doc:"how long the run may take, such as 90s or 24h; defaults to the flow's own, or forever"`
	MaxSteps int64             `json:"max_steps,omitempty" minimum:"0"`
	Reason   string            `json:"reason,omitempty" maxLength:"1000" doc:"why, for the ledger"`
}

// Change is the body of a change that needs no more than a reason.
type Change struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"why, for the ledger"`
}

// Fork starts a run from a record of another.
type Fork struct {
	Seq    int64             `json:"seq" minimum:"1" doc:"number of the record to go on from"`
	RunID  string            `json:"run_id,omitempty" maxLength:"100" doc:"defaults to one made from the Idempotency-Key, or else to a fresh one"`
	Writes []bide.Write      `json:"writes,omitempty" doc:"changes to the vars that the new run begins with"`
	Labels map[string]string `json:"labels,omitempty" doc:"defaults to the origin's"`
	Reason string            `json:"reason,omitempty" maxLength:"1000" doc:"why, for the ledger"`
}

// Migrate moves a run to another version of its workflow.
type Migrate struct {
	Version string `json:"version" minLength:"1" maxLength:"100" doc:"the version to move to"`
	Reason  string `json:"reason,omitempty" maxLength:"1000" doc:"why, for the ledger"`
}

// ForkPreview says what a fork would make happen again.
type ForkPreview struct {
	Effects []bide.ForkEffect `json:"effects" nullable:"false"`
}

// Tree is a run and all runs below it, parents before their children.
type Tree struct {
	Runs []bide.RunInfo `json:"runs" nullable:"false"`
	More bool           `json:"more,omitempty" doc:"there are more than are given"`
}

// Output is how a run ended.
type Output struct {
	Status bide.Status   `json:"status"`
	Output bide.JSON     `json:"output,omitempty" doc:"of a run that completed"`
	Error  *bide.Failure `json:"error,omitempty" doc:"of a run that failed"`
}

// Ledger is a part of a run's ledger.
type Ledger struct {
	Records []bide.JSON `json:"records" nullable:"false" doc:"each as it is stored, byte for byte: the hash of a record is the SHA-256 of its text"`
	Next    int64       `json:"next,omitempty" doc:"the number to go on from; absent at the end"`
}

// CommandStatus is what a command did.
type CommandStatus struct {
	ID    string `json:"command_id"`
	RunID string `json:"run_id"`
	Seq   int64  `json:"seq" doc:"the record at which it was done: its result is the state there"`
}

// The statuses of a wait.
const (
	WaitOpen     = "open"
	WaitAnswered = "answered"
	WaitExpired  = "expired"
	WaitClosed   = "closed" // by a timer, an event, a child, or the end of its run
)

// Wait is a wait of any run.
type Wait struct {
	bide.Wait
	RunID    string         `json:"run_id"`
	Workflow string         `json:"workflow" doc:"for which a grant counts that is given with the answer: of a run of an agent step, the flow"`
	Status   string         `json:"status" enum:"open,answered,expired,closed"`
	Quorum   int            `json:"quorum" doc:"how many answers resolve it; always 1"`
	Decision *bide.Decision `json:"decision,omitempty" doc:"how it was resolved; absent while it is open"`
}

// WaitPage is one page of open waits.
type WaitPage struct {
	Waits []Wait `json:"waits" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"cursor of the next page; absent at the end"`
}

// Accepted is what an accepted answer gives.
type Accepted struct {
	Wait      Wait   `json:"wait"`
	Remaining []Wait `json:"remaining" nullable:"false" doc:"the waits of the run that are still open"`
}

// Me is who credentials are.
type Me struct {
	Actor     string   `json:"actor" doc:"as it stands in the ledger"`
	Groups    []string `json:"groups,omitempty"`
	Roles     []string `json:"roles" nullable:"false"`
	Rights    []string `json:"rights" nullable:"false" doc:"such as view, operate, decide, author, admin"`
	Namespace string   `json:"namespace,omitempty"`
	Session   bool     `json:"session,omitempty" doc:"it is a session of a browser, which POST /auth/logout ends"`
}

// NewLink says what a link to a wait is for.
type NewLink struct {
	For       string        `json:"for,omitempty" maxLength:"190" doc:"who is to get it: the ledger names who answers link: and this; defaults to whoever makes it"`
	ExpiresIn bide.Duration `json:"expires_in,omitempty" doc:"how long it lasts, such as 30m or 48h; defaults to 24h, at most 30 days"`
}

// Link opens one wait without credentials.
type Link struct {
	ID        string    `json:"link_id" doc:"to revoke it by; no secret"`
	Path      string    `json:"path" doc:"below the address of the server; whoever has it may answer, so it is a secret"`
	Actor     string    `json:"actor" doc:"who answers with it, as it will stand in the ledger"`
	ExpiresAt time.Time `json:"expires_at"`
}

// KeptLink is what is kept of a link to a wait; nobody can answer with it.
type KeptLink struct {
	ID        string    `json:"link_id"`
	Wait      string    `json:"wait_id"`
	Actor     string    `json:"actor" doc:"who answers with it, as it will stand in the ledger"`
	By        string    `json:"by" doc:"who made it"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
}

// LinkList lists links to a wait.
type LinkList struct {
	Links []KeptLink `json:"links" nullable:"false"`
}

// WaitChange is an entry of the inbox's stream.
type WaitChange struct {
	Wait   Wait `json:"wait"`
	Closed bool `json:"closed,omitempty"`
}

// Event is something that happened, for whoever waits for it.
type Event struct {
	ID      string        `json:"event_id,omitempty" maxLength:"800" doc:"an id is delivered once to a scope; defaults to the Idempotency-Key, or else to a fresh one"`
	Scope   bide.Scope    `json:"scope,omitempty" enum:"run,session,workflow,global" doc:"defaults to run"`
	ScopeID string        `json:"scope_id,omitempty" maxLength:"1000" doc:"the run, session or workflow; absent for global"`
	Name    string        `json:"name" minLength:"1" maxLength:"100"`
	Payload bide.JSON     `json:"payload,omitempty" doc:"any JSON value"`
	Keep    bide.Duration `json:"keep,omitempty" doc:"how long an event for a workflow or for all stays for later waits that ask for it"`
}

// Flow is a version of a flow document.
type Flow struct {
	ID          string    `json:"workflow"`
	Version     string    `json:"version" doc:"the hash of the document"`
	Label       string    `json:"label,omitempty" doc:"the version that the document gives itself"`
	Title       string    `json:"title,omitempty"`
	Published   time.Time `json:"published_at,omitzero"`
	PublishedBy string    `json:"published_by,omitempty" doc:"who uploaded this version first; only when one version is asked for"`
	Newest      bool      `json:"newest" doc:"it is the one that is started when no version is named"`
	Document    bool      `json:"document" doc:"it is a flow document; otherwise it is the code of a program"`
	Schema      bide.JSON `json:"input_schema,omitempty" doc:"JSON Schema of the input"`
	Source      string    `json:"source,omitempty" doc:"the document as it was written; only when one version is asked for"`
	Calls       []string  `json:"calls,omitempty" doc:"flows that it calls"`
	Warnings    []string  `json:"warnings,omitempty" doc:"what the document does that is probably not meant"`
}

// FlowList lists flows.
type FlowList struct {
	Flows []Flow `json:"workflows" nullable:"false"`
}

// Upload publishes a flow document.
type Upload struct {
	Source string `json:"source" minLength:"1" doc:"the document: YAML or JSON"`
	Name   string `json:"name,omitempty" maxLength:"200" doc:"what to call it in messages, such as its file name"`
}

// Graph is what leads where in a workflow.
type Graph struct {
	Entry   string `json:"entry"`
	Nodes   []Node `json:"nodes" nullable:"false"`
	Mermaid string `json:"mermaid,omitempty" doc:"a drawing of a flow document, for mermaid.js"`
}

// Node is a node of a graph.
type Node struct {
	ID    string   `json:"id"`
	Exits []string `json:"exits,omitempty" doc:"where it may go; (end) is completion"`
}

// ScheduleList lists schedules.
type ScheduleList struct {
	Schedules []schedule.Schedule `json:"schedules" nullable:"false"`
	Next      string              `json:"next,omitempty" doc:"cursor of the next page; absent at the end"`
}

// ScheduleTimes are the next times of a schedule.
type ScheduleTimes struct {
	Times    []time.Time `json:"times" nullable:"false" doc:"with the offset of the time zone, without jitter; none when the schedule has ended"`
	TimeZone string      `json:"time_zone"`
}

// Artifact is a blob by its content.
type Artifact struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Worker is a worker of the store.
type Worker struct {
	ID      string        `json:"id"`
	Host    string        `json:"host,omitempty"`
	Process int           `json:"process,omitempty" doc:"its number on the host"`
	Since   time.Time     `json:"since,omitzero" doc:"when it was started; like host and process absent when its id does not tell"`
	Until   time.Time     `json:"alive_until,omitzero" doc:"when it counts as dead, unless it says again that it is alive"`
	Alive   bool          `json:"alive"`
	Runs    int64         `json:"runs" doc:"that it drives at the moment"`
	Drained bool          `json:"drained" doc:"it was asked to take on no more runs"`
	Here    *WorkerCounts `json:"here,omitempty" doc:"what the worker of the server that answers has done"`
}

// WorkerCounts is what a worker has done.
type WorkerCounts struct {
	Claimed  int64     `json:"claimed" doc:"runs taken on so far, each time counted"`
	SetAside int64     `json:"set_aside" doc:"runs set aside so far"`
	Errors   int64     `json:"errors" doc:"failed calls of the store so far"`
	NextWake time.Time `json:"next_wake,omitzero" doc:"the next timer of all runs"`
}

// WorkerList lists the workers of a store.
type WorkerList struct {
	Workers []Worker `json:"workers" nullable:"false" doc:"by id"`
}

// Verification is a ledger that was checked.
type Verification struct {
	RunID   string    `json:"run_id"`
	Records int64     `json:"records"`
	Head    bide.Hash `json:"head"`
	Signed  *Signed   `json:"signed,omitempty" doc:"what the newest signed checkpoint says of it; absent when it says nothing"`
	// LogFaults are what is wrong with the log of checkpoints. Then nothing in it counts.
	LogFaults []string `json:"log_faults,omitempty" doc:"what is wrong with the log of checkpoints; then nothing in it counts"`
}

// Signed is what a signed checkpoint says of a run. That the ledger has the record that it names, with its hash, was checked.
type Signed struct {
	Seq     int64     `json:"seq" doc:"the last record that it speaks for, and so for all before it"`
	Head    bide.Hash `json:"head" doc:"of that record"`
	At      time.Time `json:"at" doc:"when the checkpoint was signed"`
	Origin  string    `json:"origin" doc:"the name of the log"`
	Keys    []string  `json:"keys" nullable:"false" doc:"name and number of those keys of this server that signed it, which was checked"`
	Unknown []string  `json:"unknown" nullable:"false" doc:"name and number of the others that signed it: bide verify checks them with their public halves"`
}

// Replay says whether the code decides every step as it was recorded.
type Replay struct {
	RunID      string           `json:"run_id"`
	Same       bool             `json:"same"`
	Divergence *bide.Divergence `json:"divergence,omitempty" doc:"the first step that it decides otherwise"`
}

// Health says how a server is.
type Health struct {
	Status string `json:"status" enum:"ok,closing,failing"`
	Detail string `json:"detail,omitempty"`
}

// End is the last entry of the stream of a run.
type End struct {
	RunID  string      `json:"run_id"`
	Status bide.Status `json:"status"`
}

// StreamEntry is a record in a stream of several runs.
type StreamEntry struct {
	RunID  string    `json:"run_id"`
	Record bide.JSON `json:"record" doc:"as it is stored, byte for byte"`
}
