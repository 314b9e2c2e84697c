package bide

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// Kind says what a ledger record records. Its text is part of the format.
type Kind string

// The kinds of records, with the type of their data.
const (
	KindRunStarted        Kind = "run.started"        // RunStarted
	KindStepPlanned       Kind = "step.planned"       // StepPlanned: a node was visited; its effects are announced
	KindStepFailed        Kind = "step.failed"        // StepFailed: a node returned an error, panicked, or planned what cannot be done
	KindEffectStarted     Kind = "effect.started"     // EffectStarted: an attempt other than those announced by the plan
	KindEffectCompleted   Kind = "effect.completed"   // EffectCompleted
	KindEffectFailed      Kind = "effect.failed"      // EffectFailed: an attempt failed, to be retried or for good
	KindEffectInterrupted Kind = "effect.interrupted" // EffectInterrupted: an attempt was stopped; what it did is unknown
	KindEffectLate        Kind = "effect.late"        // EffectLate: the outcome of an attempt that nobody waits for any more
	KindWaitOpened        Kind = "wait.opened"        // Wait
	KindWaitResolved      Kind = "wait.resolved"      // WaitResolved
	KindRunCompleted      Kind = "run.completed"      // RunCompleted
	KindRunFailed         Kind = "run.failed"         // RunFailed
	KindRunCancelled      Kind = "run.cancelled"      // no data
	KindRunPaused         Kind = "run.paused"         // no data
	KindRunUnpaused       Kind = "run.unpaused"       // no data
	KindRunRetried        Kind = "run.retried"        // no data
	KindRunForked         Kind = "run.forked"         // RunForked
	KindRunMigrated       Kind = "run.migrated"       // RunMigrated
	KindRunContinued      Kind = "run.continued"      // RunContinued: another run goes on in its place
	KindMailForwarded     Kind = "mail.forwarded"     // MailForwarded
	KindChildContinued    Kind = "child.continued"    // ChildContinued
	KindGrantRevoked      Kind = "grant.revoked"      // GrantRevoked
	KindRunShredded       Kind = "run.shredded"       // RunShredded: the key of the records before was destroyed
)

// Record is one line of a run's ledger.
type Record struct {
	Seq     int64     `json:"seq"`  // from 1, without gaps
	Prev    Hash      `json:"prev"` // hash of the record before; zero for the first
	At      time.Time `json:"at"`   // UTC, to the microsecond
	Kind    Kind      `json:"kind"`
	Step    int64     `json:"step,omitempty"`
	Node    string    `json:"node,omitempty"`
	Command string    `json:"command,omitempty"` // id of the command that caused it
	Actor   string    `json:"actor,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	// Sealed is the data as it is stored when the run is encrypted; see Sealing.
	Sealed []byte `json:"sealed,omitempty"`
	Data   JSON   `json:"data,omitempty"` // by kind; nil for one that is sealed and could not be opened

	// Raw is the stored text: a JSON object with the fields above in this order, with
	// either Sealed or Data.
	Raw []byte `json:"-"`
	// Hash is the SHA-256 of Raw.
	Hash Hash `json:"-"`
}

// Hash is a SHA-256 sum; as text, 64 hex digits.
type Hash [sha256.Size]byte

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) == hex.EncodedLen(len(h)) {
		if _, err := hex.Decode(h[:], b); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%q is not a SHA-256 in hex", b)
}

// String returns the hex form.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Position is a place in a run's ledger: the number of records and the hash of
// the last. The zero Position is before the first.
type Position struct {
	Seq  int64
	Head Hash
}

// The data of the record kinds.
type (
	// RunStarted begins a ledger.
	RunStarted struct {
		RunID      string            `json:"run_id"`
		Workflow   string            `json:"workflow"`
		Version    string            `json:"version"`
		Definition string            `json:"definition"`
		Entry      string            `json:"entry"`
		Input      JSON              `json:"input"`
		Continues  string            `json:"continues,omitempty"` // the run in whose place it goes on
		Key        string            `json:"key,omitempty"`
		Session    string            `json:"session,omitempty"`
		Parent     string            `json:"parent,omitempty"`
		Root       string            `json:"root,omitempty"`     // of its tree, when it has a parent
		Detached   bool              `json:"detached,omitempty"` // the parent does not wait for its end
		Depth      int               `json:"depth,omitempty"`    // levels below the first run
		Labels     map[string]string `json:"labels,omitempty"`
		Deadline   time.Time         `json:"deadline,omitzero"`
		MaxSteps   int64             `json:"max_steps"`
	}
	// RunForked begins the ledger of a fork.
	RunForked struct {
		RunID  string            `json:"run_id"`
		Origin Origin            `json:"origin"`
		State  JSON              `json:"state"` // the origin as it was after that record
		Writes []Write           `json:"writes,omitempty"`
		Labels map[string]string `json:"labels,omitempty"` // nil for the origin's
	}
	// RunShredded is a run after its content was destroyed on purpose. It is never sealed.
	RunShredded struct {
		State JSON `json:"state"` // what is left of the run
	}
	// RunMigrated moves a run to another version of its workflow.
	RunMigrated struct {
		Version    string `json:"version"`
		Definition string `json:"definition"`
	}
	// RunContinued names the run that goes on in place of one that has come to the end of its work.
	RunContinued struct {
		RunID string `json:"run_id"`
		Input JSON   `json:"input"`
	}
	// MailForwarded are messages that were not taken and that the run in its place gets.
	MailForwarded struct {
		RunID    string       `json:"run_id"`
		Messages []MessageRef `json:"messages"`
	}
	// ChildContinued moves a wait on to the run that its child continues as.
	ChildContinued struct {
		WaitID string `json:"wait_id"`
		RunID  string `json:"run_id"`
	}
	// StepPlanned is a node's decision. It announces the first attempt of the
	// first Announced effects that are not built in.
	StepPlanned struct {
		Plan      StepPlan `json:"plan"`
		Announced int      `json:"announced,omitempty"`
	}
	// StepFailed is a node that gave no plan; it goes to the error node, if any.
	StepFailed struct {
		Error     Failure `json:"error"`
		ErrorNode string  `json:"error_node,omitempty"`
	}
	// EffectStarted announces an attempt.
	EffectStarted struct {
		Effect  int `json:"effect"`
		Attempt int `json:"attempt"`
		// InDoubt means that the outcome of the attempt before is unknown; it does
		// not count against the retry policy.
		InDoubt bool `json:"in_doubt,omitempty"`
	}
	// EffectCompleted is a result; it goes to the effect's place in vars, after the writes.
	EffectCompleted struct {
		Effect  int     `json:"effect"`
		Attempt int     `json:"attempt,omitempty"`
		Result  JSON    `json:"result"`
		Writes  []Write `json:"writes,omitempty"`
	}
	// EffectFailed is a failed attempt. With RetryAt, a wait of kind retry is
	// open until then; without, the effect has failed for good.
	EffectFailed struct {
		Effect  int       `json:"effect"`
		Attempt int       `json:"attempt"`
		Error   Failure   `json:"error"`
		RetryAt time.Time `json:"retry_at,omitzero"`
		Result  JSON      `json:"result,omitempty"` // a result that could not be used
	}
	// EffectInterrupted is an attempt stopped by pause or shutdown.
	EffectInterrupted struct {
		Effect  int    `json:"effect"`
		Attempt int    `json:"attempt"`
		Message string `json:"message,omitempty"`
	}
	// EffectLate is an outcome that came after its attempt was given up. It changes nothing.
	EffectLate struct {
		Effect  int      `json:"effect"`
		Attempt int      `json:"attempt"`
		Result  JSON     `json:"result,omitempty"`
		Error   *Failure `json:"error,omitempty"`
	}
	// WaitResolved closes a wait.
	WaitResolved struct {
		WaitID  string      `json:"wait_id"`
		By      ResolvedBy  `json:"by"`
		Answer  JSON        `json:"answer,omitempty"`
		Message *MessageRef `json:"message,omitempty"` // that brought the answer
	}
	// RunCompleted is the end with an output.
	RunCompleted struct {
		Output JSON `json:"output"`
	}
	// RunFailed is the end with an error.
	RunFailed struct {
		Error Failure `json:"error"`
	}
)

// MessageRef names a message that was taken.
type MessageRef struct {
	ID  string    `json:"id"`
	Key string    `json:"key"`
	At  time.Time `json:"at"`
}

// ResolvedBy is what closed a wait.
type ResolvedBy string

// What can close a wait.
const (
	ByAnswer   ResolvedBy = "answer"
	ByTimer    ResolvedBy = "timer"
	ByEvent    ResolvedBy = "event"
	ByChild    ResolvedBy = "child"
	ByDeadline ResolvedBy = "deadline" // with the default answer, or else as a timeout
	ByHandler  ResolvedBy = "handler"  // by the handler that opened it, at once
)

// IsSealed reports whether the record's data is encrypted and was not opened.
func (r *Record) IsSealed() bool { return len(r.Sealed) > 0 && r.Data == nil }

// Text is Raw with the data of a sealed record that was opened beside what is stored of
// it. ParseRecord reads it back.
func (r *Record) Text() []byte {
	if len(r.Sealed) == 0 || r.Data == nil {
		return r.Raw
	}
	b := make([]byte, 0, len(r.Raw)+len(r.Data)+len(opened))
	b = append(b, r.Raw[:len(r.Raw)-1]...)
	return append(append(append(b, opened...), r.Data...), '}')
}

// The members that end a record's text.
const (
	opened = `,"data":`
	sealed = `,"sealed":"`
)

// newData returns a pointer to the data type of a kind, or nil when it has no
// data, and whether the kind is known.
func newData(k Kind) (any, bool) {
	switch k {
	case KindRunStarted:
		return new(RunStarted), true
	case KindStepPlanned:
		return new(StepPlanned), true
	case KindStepFailed:
		return new(StepFailed), true
	case KindEffectStarted:
		return new(EffectStarted), true
	case KindEffectCompleted:
		return new(EffectCompleted), true
	case KindEffectFailed:
		return new(EffectFailed), true
	case KindEffectInterrupted:
		return new(EffectInterrupted), true
	case KindEffectLate:
		return new(EffectLate), true
	case KindWaitOpened:
		return new(Wait), true
	case KindWaitResolved:
		return new(WaitResolved), true
	case KindRunCompleted:
		return new(RunCompleted), true
	case KindRunFailed:
		return new(RunFailed), true
	case KindRunForked:
		return new(RunForked), true
	case KindRunMigrated:
		return new(RunMigrated), true
	case KindRunContinued:
		return new(RunContinued), true
	case KindMailForwarded:
		return new(MailForwarded), true
	case KindChildContinued:
		return new(ChildContinued), true
	case KindGrantRevoked:
		return new(GrantRevoked), true
	case KindRunShredded:
		return new(RunShredded), true
	case KindRunCancelled, KindRunPaused, KindRunUnpaused, KindRunRetried:
		return nil, true
	}
	return nil, false
}

// Decode returns the record's data as a pointer to the type named beside its
// kind, or nil when the kind has none. It fails with ErrSealed when the data is encrypted
// and was not opened.
func (r *Record) Decode() (any, error) {
	if r.IsSealed() {
		return nil, Errorf(CodeSealed, "record %d (%s) is encrypted, and its key is not at hand", r.Seq, r.Kind)
	}
	data, ok := newData(r.Kind)
	if !ok {
		return nil, Errorf(CodeCorrupt, "record %d: kind %q is not known", r.Seq, r.Kind)
	}
	if data == nil {
		return nil, nil
	}
	if err := decodeOwn(r.Data, data); err != nil {
		return nil, Errorf(CodeCorrupt, "record %d: data of kind %s: %w", r.Seq, r.Kind, err)
	}
	return data, nil
}

// writeText writes Raw and Hash. When the run is encrypted, seal makes of the
// text so far and the data what is stored in place of the data; nil otherwise.
func (r *Record) writeText(seal func(heading, data []byte) ([]byte, error)) (err error) {
	b := r.heading(make([]byte, 0, 256+len(r.Data)))
	switch {
	case len(r.Data) == 0:
	case seal == nil:
		b = append(b, opened...)
		b = append(b, r.Data...)
	default:
		if r.Sealed, err = seal(b, r.Data); err != nil {
			return err
		}
		b = append(b, sealed...)
		b = base64.StdEncoding.AppendEncode(b, r.Sealed)
		b = append(b, '"')
	}
	r.Raw = append(b, '}')
	r.Hash = sha256.Sum256(r.Raw)
	return nil
}

// Heading is the part of Raw that says everything but the data: what the data of a
// sealed record is bound to.
func (r *Record) Heading() []byte {
	tail := 1
	if len(r.Sealed) > 0 {
		tail += len(sealed) + base64.StdEncoding.EncodedLen(len(r.Sealed)) + 1
	} else if len(r.Data) > 0 {
		tail += len(opened) + len(r.Data)
	}
	return r.Raw[:max(len(r.Raw)-tail, 0)]
}

// heading appends the text up to the data.
func (r *Record) heading(b []byte) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendInt(b, r.Seq, 10)
	b = append(b, `,"prev":"`...)
	b = hex.AppendEncode(b, r.Prev[:])
	b = append(b, `","at":"`...)
	b = r.At.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","kind":"`...)
	b = append(b, r.Kind...)
	b = append(b, '"')
	if r.Step > 0 {
		b = append(b, `,"step":`...)
		b = strconv.AppendInt(b, r.Step, 10)
	}
	for _, f := range [...]struct{ name, value string }{{"node", r.Node}, {"command", r.Command}, {"actor", r.Actor}, {"reason", r.Reason}} {
		if f.value != "" {
			b = append(append(append(b, `,"`...), f.name...), `":`...)
			b = appendString(b, f.value)
		}
	}
	return b
}
