package api

import (
	"time"

	"github.com/bide-dev/bide"
)

// Checkpoint is a signed checkpoint of the store.
type Checkpoint struct {
	Note   string    `json:"note" doc:"the signed note; kept elsewhere, it shows later whether the store was put back"`
	Origin string    `json:"origin" doc:"the name of the log"`
	Size   int64     `json:"size" doc:"leaves of the log"`
	At     time.Time `json:"at"`
}

// Proof proves a run, or one record of it, to others.
type Proof struct {
	Proof bide.JSON `json:"proof" doc:"what bide verify checks with the public key alone"`
}

// NewBookmark is a point of a run to be marked.
type NewBookmark struct {
	Name  string   `json:"name" minLength:"1" maxLength:"100"`
	RunID string   `json:"run_id"`
	Seq   int64    `json:"seq,omitempty" minimum:"0" doc:"number of the record; the last one without"`
	Tags  []string `json:"tags,omitempty" maxItems:"100"`
	Note  string   `json:"note,omitempty" maxLength:"10000"`
}

// Bookmark is a marked point of a run.
type Bookmark struct {
	Name  string    `json:"name"`
	RunID string    `json:"run_id"`
	Seq   int64     `json:"seq"`
	Head  bide.Hash `json:"head" doc:"hash of the record: what was marked can be told from what is there"`
	Tags  []string  `json:"tags,omitempty"`
	Note  string    `json:"note,omitempty"`
	Actor string    `json:"actor,omitempty"`
	At    time.Time `json:"at"`
}

// BookmarkList lists bookmarks by name.
type BookmarkList struct {
	Bookmarks []Bookmark `json:"bookmarks" nullable:"false"`
}

// Hold forbids the deletion of a tree of runs.
type Hold struct {
	RunID  string    `json:"run_id" doc:"the first run of the tree"`
	Reason string    `json:"reason"`
	Actor  string    `json:"actor"`
	At     time.Time `json:"at"`
}

// HoldList lists holds by run.
type HoldList struct {
	Holds []Hold `json:"holds" nullable:"false"`
}

// RetentionRule says which trees may go: those whose first run it selects and whose last run ended long enough ago.
type RetentionRule struct {
	Workflow string        `json:"workflow,omitempty" doc:"of the first run; any without"`
	Status   string        `json:"status,omitempty" enum:"completed,failed,cancelled" doc:"of the first run; any without"`
	After    bide.Duration `json:"after" doc:"how long ago the last run must have ended"`
}

// Retention asks for the removal of old runs.
type Retention struct {
	Rules   []RetentionRule `json:"rules" minItems:"1" maxItems:"100" nullable:"false"`
	DryRun  bool            `json:"dry_run,omitempty" doc:"say what would go, and change nothing"`
	Archive bool            `json:"archive,omitempty" doc:"keep the export of each tree as an artifact before; the tombstone names it"`
	Limit   int             `json:"limit,omitempty" minimum:"1" maximum:"1000" doc:"trees at most; 100 without"`
}

// RemovedTree is a tree that went, or would.
type RemovedTree struct {
	RunID    string      `json:"run_id" doc:"its first run"`
	Workflow string      `json:"workflow" doc:"of the first run"`
	Status   bide.Status `json:"status" doc:"of the first run"`
	EndedAt  time.Time   `json:"ended_at" doc:"when the first run ended"`
	Runs     int         `json:"runs"`
	Archive  string      `json:"archive,omitempty" doc:"SHA-256 of its export"`
}

// RetentionResult is what was done, or would be.
type RetentionResult struct {
	Removed []RemovedTree `json:"removed" nullable:"false"`
	Held    int           `json:"held" doc:"trees that a hold kept"`
	Active  int           `json:"active" doc:"trees in which a run has not ended"`
	More    bool          `json:"more" doc:"the limit was reached"`
}

// Imported is what an import did.
type Imported struct {
	Runs      int64 `json:"runs" doc:"that are new, or were finished"`
	Known     int64 `json:"known" doc:"that were there already, at that record or further"`
	Records   int64 `json:"records" doc:"written"`
	History   int64 `json:"history" doc:"runs that had not ended and were set aside"`
	Live      int64 `json:"live" doc:"runs that go on"`
	Artifacts int64 `json:"artifacts"`
	Documents int64 `json:"documents"`
	Left      int64 `json:"left" doc:"blobs and documents that were not taken"`
}

// Compacted is how many bytes a store had and has.
type Compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Sweep asks for the removal of artifacts that nothing names.
type Sweep struct {
	Older  bide.Duration `json:"older" doc:"how long ago an artifact must have been put, at least 1h"`
	DryRun bool          `json:"dry_run,omitempty" doc:"count, and remove nothing"`
}

// Swept is what a sweep did, or would do.
type Swept struct {
	Removed int64 `json:"removed"`
	Bytes   int64 `json:"bytes" doc:"of the removed; 0 with dry_run"`
	Kept    int64 `json:"kept"`
}

// Case is a recorded run as a case of its flow.
type Case struct {
	Case   string   `json:"case" doc:"the file, YAML"`
	Faults []string `json:"faults" nullable:"false" doc:"in what the case does not come to what the run did"`
}
