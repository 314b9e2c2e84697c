package bide

import (
	"context"
	"time"
)

// Claims is what a store offers to workers, besides Store: who may drive which
// run (K23, K24). A worker owns a run by a claim, whose number, the fence, only
// grows; it owns it as long as it says in time that it is alive.
//
// A claim ends by itself with the commit made under it (Commit.Fence) that leaves
// the run with another status than running, and goes on with a later one made under it
// that leaves it running again. A commit that is made without a claim and turns
// a run that is not running into one that is leaves it to be claimed by anybody, unless
// it claims the run itself (Commit.Owner); other commits without a claim change nothing about it.
type Claims interface {
	// Claim gives the owner up to q.Limit runs that can proceed and nobody
	// drives, those that can since longest first, and raises the fence of each. A
	// run can proceed when it is not set aside and it is running; or waiting with a
	// timer due at q.Now; or waiting and told of mail since what was seen last (Commit.MailSeen, Release).
	Claim(ctx context.Context, q ClaimQuery) ([]Claim, error)
	// Heartbeat says that the owner is alive until a time. An owner that never
	// said so, or whose time is over, drives nothing.
	Heartbeat(ctx context.Context, owner string, until time.Time) error
	// Release ends claims of the owner, so that others can claim the runs at
	// once: of the runs named, or of all when there are none. With quiet, the owner
	// says that it looked at them and there was nothing to do: mail that they were told of
	// before the claim, or, for a claim made by a commit, up to its MailSeen, counts as seen from then on.
	Release(ctx context.Context, owner string, runIDs []string, quiet bool) error
	// SetAside keeps a run from being claimed, for a reason that is listed with
	// it (RunInfo.SetAside); an empty reason lets it be claimed again. It fails with ErrNotFound.
	SetAside(ctx context.Context, runID, reason string) error
	// NextWake returns the time of the earliest timer later than after of all runs
	// that wait and are not set aside, or zero.
	NextWake(ctx context.Context, after time.Time) (time.Time, error)
	// Owners lists, by name, all who own claims, and those that said that they are alive until a time
	// later than since. Who is long dead and owns nothing may be left out.
	Owners(ctx context.Context, since time.Time) ([]Owner, error)
	// Drain asks an owner to take on no more runs, or to do so again: Claim gives none to one that
	// is drained. Commits that claim a run (Commit.Owner) are for it to leave. It fails with ErrNotFound for
	// an owner that never said that it is alive, or is long dead.
	Drain(ctx context.Context, owner string, drained bool) error
}

// Owner is somebody who drives runs.
type Owner struct {
	Name string
	// Until is when it will count as dead, unless it says again that it is alive; zero when it never said so.
	Until time.Time
	Runs  int64 // how many it has claimed
	// Drained says that it was asked to take on no more.
	Drained bool
}

// ClaimQuery says what a worker can take.
type ClaimQuery struct {
	Owner string
	Now   time.Time
	Limit int // at most this many; at least 1
	// Workflows are the ids and versions that the owner has. Runs of others are left alone.
	Workflows []WorkflowVersion
	// Sole says that no other worker lives, so that what others own can be had at once.
	Sole bool
}

// WorkflowVersion names a workflow.
type WorkflowVersion struct{ ID, Version string }

// Claim is a run that a worker may drive.
type Claim struct {
	RunID string
	Fence int64
	// Last is for who drives the run to set: nobody else could go on with it, so that an effect fails which needs what is not
	// registered here (ErrLacking).
	Last bool
	// Stored, when not nil, is what Load without a position gives after the claim, but for mail of which the
	// run was not told. A store whose reads take a round trip has it with the claim where it is small.
	Stored *Stored
}

// Hinter is what a store offers that hears of what other processes do.
type Hinter interface {
	// Hints calls f, soon, after other processes, and perhaps this one, have
	// committed; claimable says that runs may have become claimable by it. One call may
	// stand for many commits, and some may be missed: it is a hint. f returns at once. The
	// calls end with ctx.
	Hints(ctx context.Context, f func(claimable bool)) error
}
