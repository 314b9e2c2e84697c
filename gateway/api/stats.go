package api

import (
	"time"

	"github.com/bide-dev/bide"
)

// StatusCounts are numbers of runs by status.
type StatusCounts struct {
	Running   int64 `json:"running"`
	Waiting   int64 `json:"waiting"`
	Paused    int64 `json:"paused"`
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"`
	Cancelled int64 `json:"cancelled"`
}

// Add adds runs of a status.
func (c *StatusCounts) Add(status bide.Status, runs int64) {
	switch status {
	case bide.StatusRunning:
		c.Running += runs
	case bide.StatusWaiting:
		c.Waiting += runs
	case bide.StatusPaused:
		c.Paused += runs
	case bide.StatusCompleted:
		c.Completed += runs
	case bide.StatusFailed:
		c.Failed += runs
	case bide.StatusCancelled:
		c.Cancelled += runs
	}
}

// RunCounts are numbers of runs.
type RunCounts struct {
	Runs      int64           `json:"runs"`
	Statuses  StatusCounts    `json:"statuses"`
	Workflows []WorkflowCount `json:"workflows" nullable:"false" doc:"by name"`
	Partial   bool            `json:"partial" doc:"there are more runs than were counted"`
}

// WorkflowCount are numbers of runs of a workflow.
type WorkflowCount struct {
	Workflow string       `json:"workflow"`
	Runs     int64        `json:"runs"`
	Statuses StatusCounts `json:"statuses"`
}

// Span is a span of time, cut into buckets.
type Span struct {
	From  time.Time     `json:"from" doc:"the beginning of the first bucket"`
	To    time.Time     `json:"to" doc:"the end of the last one that is counted"`
	Every bide.Duration `json:"every" doc:"the length of a bucket"`
}

// Outcomes are numbers of runs over time.
type Outcomes struct {
	Span
	Buckets []Outcome `json:"buckets" nullable:"false" doc:"one after the other, those without runs included"`
	Partial bool      `json:"partial" doc:"there are more runs than were counted"`
}

// Outcome is what became of runs in a bucket of time.
type Outcome struct {
	At        time.Time `json:"at" doc:"its beginning"`
	Started   int64     `json:"started" doc:"runs that began in it, whatever became of them"`
	Completed int64     `json:"completed" doc:"runs that ended in it"`
	Failed    int64     `json:"failed"`
	Cancelled int64     `json:"cancelled"`
}

// Latencies say how long runs took, from their beginning to their end.
type Latencies struct {
	Span
	Whole   Latency         `json:"whole" doc:"of all buckets"`
	Buckets []LatencyBucket `json:"buckets" nullable:"false" doc:"by the time of the end, those without runs included"`
	Partial bool            `json:"partial" doc:"there are more runs than were looked at: those that ended last"`
}

// LatencyBucket says how long the runs took that ended in a bucket of time.
type LatencyBucket struct {
	At time.Time `json:"at" doc:"its beginning"`
	Latency
}

// Latency are percentiles of durations, in seconds; all 0 when there are no runs.
type Latency struct {
	Runs int64   `json:"runs"`
	P50  float64 `json:"p50_seconds"`
	P90  float64 `json:"p90_seconds"`
	P99  float64 `json:"p99_seconds"`
	Max  float64 `json:"max_seconds"`
}

// Sample says of which runs sums are.
type Sample struct {
	Runs    int64 `json:"runs" doc:"how many were added up"`
	Partial bool  `json:"partial" doc:"there are more than were looked at: those that changed last"`
}

// TimeSums say what the time of runs went into.
type TimeSums struct {
	Sample
	Workflows []WorkflowTime `json:"workflows" nullable:"false" doc:"by name"`
}

// WorkflowTime says what the time of a workflow's runs went into, from their beginning to their end or to now, in
// seconds. Each moment of a run is one of these.
type WorkflowTime struct {
	Workflow  string  `json:"workflow"`
	Runs      int64   `json:"runs"`
	Computing float64 `json:"computing_seconds" doc:"an effect was at work"`
	People    float64 `json:"people_seconds" doc:"a wait for a person was open"`
	Waiting   float64 `json:"waiting_seconds" doc:"a timer, an event, a job, a child or the time of the next attempt"`
	Idle      float64 `json:"idle_seconds" doc:"it could go on, and nobody drove it"`
	Paused    float64 `json:"paused_seconds"`
}

// UsageSums say what calls of models took.
type UsageSums struct {
	Sample
	Usage []ModelUsage `json:"usage" nullable:"false" doc:"by workflow and model"`
}

// ModelUsage is what the calls of a model by a workflow took.
type ModelUsage struct {
	Workflow   string `json:"workflow"`
	Model      string `json:"model" doc:"empty for attempts that failed, and for answers that a person gave in place of a model"`
	Calls      int64  `json:"calls"`
	Failed     int64  `json:"failed" doc:"attempts without an answer"`
	Input      int64  `json:"input_tokens"`
	Output     int64  `json:"output_tokens"`
	CacheRead  int64  `json:"cache_read_tokens"`
	CacheWrite int64  `json:"cache_write_tokens"`
	Reasoning  int64  `json:"reasoning_tokens"`
	USD        string `json:"usd" doc:"dollars, as text"`
	Uncounted  int64  `json:"uncounted" doc:"calls whose tokens are not known"`
	Unpriced   int64  `json:"unpriced" doc:"calls whose cost is not known"`
}

// NodeSums say what became of the nodes of a version of a workflow.
type NodeSums struct {
	Sample
	Workflow string    `json:"workflow"`
	Version  string    `json:"version"`
	Nodes    []NodeSum `json:"nodes" nullable:"false" doc:"by id; those that no run has visited are left out"`
}

// NodeSum says what became of a node.
type NodeSum struct {
	Node     string  `json:"node"`
	Runs     int64   `json:"runs" doc:"that have visited it"`
	Here     int64   `json:"here" doc:"that are at it and have not ended"`
	Visits   int64   `json:"visits"`
	Failures int64   `json:"failures" doc:"visits that failed"`
	Retries  int64   `json:"retries" doc:"failed attempts of effects that were tried again"`
	Took     float64 `json:"mean_seconds" doc:"mean time from a visit to the next one or to the end"`
}
