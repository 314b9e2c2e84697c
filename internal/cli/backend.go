package cli

import (
	"context"
	"iter"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/schedule"
)

// backend is what the commands act on: everything they know of runs comes
// through it. Arguments and results have a JSON form, so that a server can stand behind it as well
// as a store. Errors are of type *bide.Error where the kernel's are.
type backend interface {
	reader
	commander
	linker
	auditor
	scheduler
	granter
	overseer
	tokenKeeper
	webhookKeeper
	hookKeeper
	// Close ends the work and frees what is held.
	Close(ctx context.Context) error
}

type reader interface {
	// Runs lists runs, newest first unless another order is asked for. A page may be shorter than the limit and not the last.
	Runs(ctx context.Context, q runsQuery) (*runsPage, error)
	// Run returns a run as it was after record seq, or as it is now when seq is 0.
	Run(ctx context.Context, id string, seq int64) (*bide.Run, error)
	// Records yields a run's records from number from on; with follow, also those that come, until the run ends.
	Records(ctx context.Context, id string, from int64, follow bool) iter.Seq2[bide.Record, error]
	// Waits lists open waits, oldest first.
	Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error)
}

type commander interface {
	// Start keeps the flows that are given with the request, and begins a run.
	Start(ctx context.Context, req *startRequest) (*bide.Run, error)
	// Change makes one of the changes that need no more than a name.
	Change(ctx context.Context, id string, v verb, cmd bide.Command) error
	// Answer resolves a wait.
	Answer(ctx context.Context, waitID string, answer bide.JSON, cmd bide.Command) (*bide.Run, error)
	// Send delivers an event.
	Send(ctx context.Context, e bide.Event) error
	// ForkPreview lists what a fork from a record would make happen again.
	ForkPreview(ctx context.Context, id string, seq int64) ([]bide.ForkEffect, error)
	// Fork begins a new run that goes on from a record.
	Fork(ctx context.Context, id string, seq int64, opts *bide.ForkOptions) (*bide.Run, error)
	// Migrate moves a run to another version of its flow.
	Migrate(ctx context.Context, id, version string, cmd bide.Command) (*bide.Run, error)
}

type linker interface {
	// Link makes a link to an open wait, for whoever it names; a path below the address of a server.
	Link(ctx context.Context, waitID string, spec api.NewLink, cmd bide.Command) (*api.Link, error)
	// Links lists what is kept of the links to a wait.
	Links(ctx context.Context, waitID string) ([]api.KeptLink, error)
	// RevokeLink ends a link.
	RevokeLink(ctx context.Context, id string, cmd bide.Command) (*api.KeptLink, error)
}

type auditor interface {
	// Verify checks the whole ledger of a run.
	Verify(ctx context.Context, id string) (*verification, error)
	// Replay decides every step of a run again and returns the first that differs, or nil.
	Replay(ctx context.Context, id string) (*bide.Divergence, error)
}

type scheduler interface {
	// Schedules lists all that were not deleted, newest first.
	Schedules(ctx context.Context) ([]schedule.Schedule, error)
	// Schedule returns one by its name.
	Schedule(ctx context.Context, name string) (*schedule.Schedule, error)
	// AddSchedule keeps the flows, as of startRequest, and makes a schedule for the last.
	AddSchedule(ctx context.Context, docs []*flow.Doc, spec schedule.Spec, cmd bide.Command) (*schedule.Schedule, error)
	// ChangeSchedule pauses one, lets it go on (unpause), or deletes it.
	ChangeSchedule(ctx context.Context, name string, v verb, cmd bide.Command) error
}

type granter interface {
	// Grants lists the grants of sessions and workflows.
	Grants(ctx context.Context) ([]api.SharedGrant, error)
	// RevokeGrant ends a grant of a run, and for what else it counts for.
	RevokeGrant(ctx context.Context, runID, grantID string, cmd bide.Command) error
	// RevokeShared ends one of Grants.
	RevokeShared(ctx context.Context, g *api.SharedGrant, cmd bide.Command) error
}

type overseer interface {
	// Workers lists the workers of the store that live, or own runs.
	Workers(ctx context.Context) ([]api.Worker, error)
	// Drain lets a worker take on no more runs, or take on runs again.
	Drain(ctx context.Context, id string, drained bool) (*api.Worker, error)
}

// verb is a change of a run or a schedule.
type verb string

// The verbs.
const (
	verbPause   verb = "pause"
	verbUnpause verb = "unpause"
	verbCancel  verb = "cancel"
	verbRetry   verb = "retry"
	verbDelete  verb = "delete"
	verbShred   verb = "shred"
)

// runsQuery selects runs by a search; see package search. Runs of bide itself (schedules, kept flows) are left
// out unless Internal is set or the search names their flow.
type runsQuery struct {
	Search   string
	Internal bool
	Order    string // one of search.Orders. Defaults to the first.
	Limit    int    // at most this many on a page. Defaults to 100, at most 1000.
	Cursor   string
}

// runsPage is one page of a listing.
type runsPage struct {
	Runs []bide.RunInfo `json:"runs"`
	Next string         `json:"next,omitempty"`
}

// startRequest is what starts a run.
type startRequest struct {
	// Docs are the flow, last, and those that it calls; their sources go with the request.
	Docs     []*flow.Doc
	Input    bide.JSON // {} when there is none
	Key      string
	RunID    string
	Session  string
	Labels   map[string]string
	Timeout  time.Duration
	MaxSteps int64
	Command  bide.Command
}

// verification is a ledger that was checked.
type verification struct {
	RunID   string    `json:"run_id"`
	Records int64     `json:"records"`
	Head    bide.Hash `json:"head"`
	// Sealed says that the run is encrypted and its key not at hand, so that the chain alone was checked.
	Sealed bool `json:"sealed,omitempty"`
}
