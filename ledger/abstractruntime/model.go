package abstractruntime

import (
	"encoding/json"
	"time"
)

// run is a checkpoint of AbstractRuntime. Members that are not known here stay in the file.
type run struct {
	RunID       string                     `json:"run_id"`
	WorkflowID  string                     `json:"workflow_id"`
	Status      string                     `json:"status"`
	CurrentNode string                     `json:"current_node"`
	Vars        map[string]json.RawMessage `json:"vars"`
	Waiting     *waiting                   `json:"waiting"`
	Output      json.RawMessage            `json:"output"`
	Error       string                     `json:"error"`
	CreatedAt   string                     `json:"created_at"`
	UpdatedAt   string                     `json:"updated_at"`
	ActorID     string                     `json:"actor_id"`
	SessionID   string                     `json:"session_id"`
	ParentRunID string                     `json:"parent_run_id"`
}

// waiting is what a run waits for.
type waiting struct {
	Reason        string          `json:"reason"`
	WaitKey       string          `json:"wait_key"`
	Until         string          `json:"until"`
	ResumeToNode  string          `json:"resume_to_node"`
	ResultKey     string          `json:"result_key"`
	Prompt        string          `json:"prompt"`
	Choices       []string        `json:"choices"`
	AllowFreeText *bool           `json:"allow_free_text"`
	Details       json.RawMessage `json:"details"`
}

// step is a record of a ledger of AbstractRuntime.
type step struct {
	StepID  string          `json:"step_id"`
	NodeID  string          `json:"node_id"`
	Status  string          `json:"status"`
	Effect  *effect         `json:"effect"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Started string          `json:"started_at"`
	Ended   string          `json:"ended_at"`
	ActorID string          `json:"actor_id"`
	Attempt int             `json:"attempt"`
	Key     string          `json:"idempotency_key"`
	Prev    string          `json:"prev_hash"`
	Hash    string          `json:"record_hash"`

	raw json.RawMessage
}

type effect struct {
	Type      string          `json:"type"`
	Payload   json.RawMessage `json:"payload"`
	ResultKey string          `json:"result_key"`
}

// parseTime reads a time as Python's isoformat writes it, or with Z; zero when it is none.
func parseTime(s string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return at.UTC().Truncate(time.Microsecond)
}
