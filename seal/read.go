package seal

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/bide-dev/bide"
)

// OpenRecord opens the data of a sealed record. It does nothing with one that is not sealed. It
// fails with bide.ErrSealed when the wrapping key is not at hand, bide.ErrShredded when the
// content was destroyed, and bide.ErrCorrupt when the record is not the one that was sealed.
func (s *Store) OpenRecord(ctx context.Context, runID string, rec *bide.Record) error {
	_, err := s.openRecord(ctx, runID, rec)
	return err
}

func (s *Store) openRecord(ctx context.Context, runID string, rec *bide.Record) (key *dataKey, err error) {
	if rec.IsSealed() {
		rec.Data, key, err = s.openEnvelope(ctx, rec.Sealed, ofRecord(runID, rec.Heading()))
	}
	return key, err
}

// text reads a stored record and opens it; key is what opened it.
func (s *Store) text(ctx context.Context, runID string, raw []byte) (rec bide.Record, key *dataKey, err error) {
	if rec, err = bide.ParseRecord(raw); err != nil {
		return rec, nil, err
	}
	if len(rec.Sealed) > 0 && rec.Data != nil {
		return rec, nil, bide.Errorf(bide.CodeCorrupt, "record %d of run %s has data beside what is sealed", rec.Seq, runID)
	}
	if key, err = s.openRecord(ctx, runID, &rec); err != nil && !locked(err) {
		return rec, nil, at(err, runID, rec.Seq)
	}
	return rec, key, err
}

// at says which record an error is about.
func at(err error, runID string, seq int64) error {
	return bide.Errorf(bide.CodeOf(err), "record %d of run %s: %w", seq, runID, err)
}

// texts opens the records of a run in place. lock is why some stay closed.
func (s *Store) texts(ctx context.Context, runID string, raws [][]byte) (key *dataKey, lock, err error) {
	for i, raw := range raws {
		rec, opens, err := s.text(ctx, runID, raw)
		if err != nil && !locked(err) {
			return nil, nil, err
		}
		if lock == nil {
			lock = err
		}
		if raws[i] = rec.Text(); key == nil && opens != nil {
			key = opens
			keep(&s.cache, &s.cache.runs, runID, key.at)
		}
	}
	return key, lock, nil
}

// Records implements bide.Store. Those that cannot be opened come as they are stored.
func (s *Store) Records(ctx context.Context, runID string, from int64, limit int) ([][]byte, error) {
	raws, err := s.inner.Records(ctx, runID, from, limit)
	if err != nil {
		return nil, err
	}
	_, _, err = s.texts(ctx, runID, raws)
	return raws, err
}

// Load implements bide.Store.
func (s *Store) Load(ctx context.Context, runID string, have bide.Position) (*bide.Stored, error) {
	out, err := s.inner.Load(ctx, runID, have)
	if err != nil {
		return nil, err
	}
	return out, s.openStored(ctx, runID, out)
}

// Claim implements bide.Claims. A run that cannot be opened comes without what is stored of it.
func (s *Store) Claim(ctx context.Context, q bide.ClaimQuery) ([]bide.Claim, error) {
	claims, err := s.Claims.Claim(ctx, q)
	for i := range claims {
		if c := &claims[i]; c.Stored != nil && (s.openStored(ctx, c.RunID, c.Stored) != nil || c.Stored.Locked != nil) {
			c.Stored = nil
		}
	}
	return claims, err
}

// openStored opens what a store has of a run.
func (s *Store) openStored(ctx context.Context, runID string, out *bide.Stored) error {
	var key *dataKey
	if envelope, ok := fromJSON(out.Snapshot); ok {
		var err error
		if key, err = s.openSnapshot(ctx, runID, out, envelope); err != nil {
			return err
		}
	}
	found, lock, err := s.texts(ctx, runID, out.Records)
	if err != nil {
		return err
	}
	if key == nil {
		key = found
	}
	if key != nil {
		out.Sealer = &sealer{runID, key}
	}
	if lock != nil {
		out.Locked = lock
	}
	return s.openMail(ctx, out)
}

// openSnapshot opens a snapshot; when it cannot be, the records before it take its place.
func (s *Store) openSnapshot(ctx context.Context, runID string, out *bide.Stored, envelope []byte) (*dataKey, error) {
	plain, key, err := s.openEnvelope(ctx, envelope, ofSnapshot(runID, out.SnapshotSeq))
	if err == nil {
		out.Snapshot = plain
		keep(&s.cache, &s.cache.runs, runID, key.at)
		return key, nil
	}
	if !locked(err) {
		return nil, at(err, runID, out.SnapshotSeq)
	}
	out.Locked = err
	var before [][]byte
	for next := int64(1); next <= out.SnapshotSeq; {
		raws, err := s.inner.Records(ctx, runID, next, int(min(1000, out.SnapshotSeq-next+1)))
		if err != nil {
			return nil, err
		}
		if len(raws) == 0 {
			return nil, bide.Errorf(bide.CodeCorrupt, "run %s has no record %d", runID, next)
		}
		before, next = append(before, raws...), next+int64(len(raws))
	}
	out.Snapshot, out.SnapshotSeq, out.Records = nil, 0, append(before, out.Records...)
	return nil, nil
}

func ofSnapshot(runID string, seq int64) string {
	return belonging("snapshot", runID, strconv.FormatInt(seq, 10))
}

// Mail implements bide.Mailer when the store beneath does; otherwise it fails with bide.ErrInvalidInput. It fails with
// bide.ErrSealed when the key is not at hand.
func (s *Store) Mail(ctx context.Context, runID string) ([]bide.Message, error) {
	inner, ok := s.inner.(bide.Mailer)
	if !ok {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the store beneath does not list mail")
	}
	mail, err := inner.Mail(ctx, runID)
	if err != nil {
		return nil, err
	}
	out := bide.Stored{Mail: mail}
	return out.Mail, s.openMail(ctx, &out)
}

// openMail opens what a run can take. What can never be opened again is not there.
func (s *Store) openMail(ctx context.Context, out *bide.Stored) error {
	kept := out.Mail[:0]
	for _, m := range out.Mail {
		switch err := s.openMessage(ctx, &m); {
		case err == nil:
			kept = append(kept, m)
		case !locked(err):
			return err
		case out.Locked == nil:
			return err
		}
	}
	out.Mail = kept
	return nil
}

func (s *Store) openMessage(ctx context.Context, m *bide.Message) (err error) {
	envelope, ok := fromJSON(m.Payload)
	if !ok {
		return nil
	}
	place, box, err := parseEnvelope(envelope)
	if err != nil {
		return unknown(err)
	}
	key, err := s.keyAt(ctx, place)
	if err != nil {
		return err
	}
	belongs := belonging("mail", m.Key)
	if m.To != "" {
		run, sealed, err := s.placeOf(ctx, m.To)
		if err != nil {
			return err
		}
		if sealed && run == place {
			belongs = belonging("mail", m.To, m.ID)
		}
	}
	m.Payload, err = key.open(box, belongs)
	return err
}

// Feed implements bide.Store. Records that cannot be opened come as they are stored.
func (s *Store) Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
	page, err := s.inner.Feed(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range page.Records {
		r := &page.Records[i]
		switch rec, _, err := s.text(ctx, r.RunID, r.Body); {
		case err == nil:
			r.Body = rec.Text()
		case !locked(err) && bide.CodeOf(err) != bide.CodeCorrupt: // one bad record holds up nobody else's
			return nil, err
		}
	}
	return page, nil
}

// waitContent is what a wait is about: all that is not needed to find and to time it.
type waitContent struct {
	Message  string          `json:"message,omitempty"`
	Choices  []string        `json:"choices,omitempty"`
	FreeText bool            `json:"free_text,omitempty"`
	Schema   bide.JSON       `json:"schema,omitempty"`
	Details  bide.JSON       `json:"details,omitempty"`
	Items    []bide.ToolItem `json:"items,omitempty"`
	State    bide.JSON       `json:"state,omitempty"`
	Default  bide.JSON       `json:"default,omitempty"`
}

// closedMessage stands for the message of a wait that cannot be opened.
const closedMessage = "This wait is encrypted, and its key is not at hand."

// Waits implements bide.Store. Those that cannot be opened say so in their message.
func (s *Store) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	page, err := s.inner.Waits(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range page.Waits {
		if err := s.openWait(ctx, &page.Waits[i]); locked(err) {
			page.Waits[i].Message = closedMessage
		} else if err != nil {
			return nil, err
		}
	}
	return page, nil
}

func (s *Store) openWait(ctx context.Context, w *bide.Wait) error {
	if len(w.Sealed) == 0 {
		return nil
	}
	plain, _, err := s.openEnvelope(ctx, w.Sealed, belonging("wait", w.ID))
	if err != nil {
		return err
	}
	var c waitContent
	if err := json.Unmarshal(plain, &c); err != nil {
		return bide.Errorf(bide.CodeCorrupt, "wait %s: %w", w.ID, err)
	}
	w.Message, w.Choices, w.FreeText, w.Schema, w.Details, w.Items, w.State, w.Default = c.Message, c.Choices, c.FreeText, c.Schema, c.Details, c.Items, c.State, c.Default
	w.Sealed = nil
	return nil
}

// Command implements bide.Store.
func (s *Store) Command(ctx context.Context, runID, commandID string) (*bide.CommandRecord, error) {
	c, err := s.inner.Command(ctx, runID, commandID)
	if err != nil {
		return nil, err
	}
	key, err := s.keyOf(ctx, runID)
	if err != nil || key == nil {
		return c, err
	}
	out := *c
	out.Fingerprint = key.mask(c.Fingerprint, belonging("command", runID, commandID))
	return &out, nil
}

// Runs implements bide.Store.
func (s *Store) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	return s.inner.Runs(ctx, q)
}

// readShared reads the key that the document of the shared key names.
func (s *Store) readShared(ctx context.Context, d *bide.Document) (*dataKey, error) {
	var id string
	if err := json.Unmarshal(d.Body, &id); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "data keys %s: %w", d.ID, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(raw) != blockBytes {
		return nil, bide.Errorf(bide.CodeCorrupt, "data keys %s name %q, which is no block", d.ID, id)
	}
	return s.keyAt(ctx, place{block: [blockBytes]byte(raw)})
}
