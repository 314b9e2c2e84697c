package seal

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/bide-dev/bide"
)

// Commit implements bide.Store.
func (s *Store) Commit(ctx context.Context, c *bide.Commit) error {
	if c.Delete {
		return s.delete(ctx, c)
	}
	out, err := s.sealCommit(ctx, c)
	if err != nil {
		return err
	}
	return s.inner.Commit(ctx, out)
}

// sealCommit returns a commit as it is stored.
func (s *Store) sealCommit(ctx context.Context, c *bide.Commit) (*bide.Commit, error) {
	out := *c
	if len(c.Send) > 0 {
		out.Send = make([]bide.Message, len(c.Send))
		for i, m := range c.Send {
			if err := s.sealMessage(ctx, c, &m); err != nil {
				return nil, err
			}
			out.Send[i] = m
		}
	}
	if len(c.Starts) > 0 {
		out.Starts = make([]*bide.Commit, len(c.Starts))
		for i, start := range c.Starts {
			var err error
			if out.Starts[i], err = s.sealCommit(ctx, start); err != nil {
				return nil, err
			}
		}
	}
	own, ok := c.Sealer.(*sealer)
	if !ok {
		return &out, nil
	}
	out.Sealer = nil
	var err error
	if out.Opened, err = sealWaits(own.key, c.Opened); err != nil {
		return nil, err
	}
	if c.Snapshot != nil {
		out.Snapshot = envelopeJSON(own.key.seal(c.Snapshot, ofSnapshot(c.RunID, c.Info.Seq)))
	}
	if c.Command != nil {
		command := *c.Command
		command.Fingerprint = own.key.mask(command.Fingerprint, belonging("command", c.RunID, command.ID))
		out.Command = &command
	}
	return &out, nil
}

func sealWaits(key *dataKey, waits []bide.Wait) ([]bide.Wait, error) {
	if len(waits) == 0 {
		return nil, nil
	}
	out := make([]bide.Wait, len(waits))
	for i, w := range waits {
		plain, err := json.Marshal(waitContent{w.Message, w.Choices, w.FreeText, w.Schema, w.Details, w.Items, w.State, w.Default})
		if err != nil {
			return nil, err
		}
		w.Message, w.Choices, w.FreeText, w.Schema, w.Details, w.Items, w.State, w.Default = "", nil, false, nil, nil, nil, nil, nil
		w.Sealed = key.seal(plain, belonging("wait", w.ID))
		out[i] = w
	}
	return out, nil
}

// sealMessage seals a message with the key of the run that it is for, or with the
// one for what belongs to no run.
func (s *Store) sealMessage(ctx context.Context, c *bide.Commit, m *bide.Message) error {
	if m.Payload == nil {
		return nil
	}
	if m.To != "" {
		key, known, err := s.recipient(ctx, c, m.To)
		switch {
		case errors.Is(err, bide.ErrShredded):
			m.Payload = nil
			return nil
		case err != nil:
			return err
		case key != nil:
			m.Payload = envelopeJSON(key.seal(m.Payload, belonging("mail", m.To, m.ID)))
			return nil
		case known:
			return nil
		}
	}
	key, err := s.sharedKey(ctx)
	if err == nil {
		m.Payload = envelopeJSON(key.seal(m.Payload, belonging("mail", m.Key)))
	}
	return err
}

// recipient returns the key of the run that a message of a commit is for: nil when the run is
// not encrypted, or not known.
func (s *Store) recipient(ctx context.Context, c *bide.Commit, runID string) (key *dataKey, known bool, err error) {
	if own, ok := c.Sealer.(*sealer); ok && runID == c.RunID {
		return own.key, true, nil
	}
	key, err = s.keyOf(ctx, runID)
	if errors.Is(err, bide.ErrNotFound) {
		return nil, false, nil
	}
	return key, true, err
}

// delete deletes a run, and then its data key.
func (s *Store) delete(ctx context.Context, c *bide.Commit) error {
	at, sealed, err := s.placeOf(ctx, c.RunID)
	if err != nil && !errors.Is(err, bide.ErrNotFound) {
		return err
	}
	if err := s.inner.Commit(ctx, c); err != nil || !sealed {
		return err
	}
	err = s.changeSlot(ctx, at, func(k *slot) bool {
		had := k.DataKey != nil
		k.DataKey = nil
		return had
	})
	s.cache.forget(at)
	s.cache.forgetRun(c.RunID)
	if errors.Is(err, bide.ErrSealed) { // the keys were left behind elsewhere
		return nil
	}
	return err
}

// Shred implements bide.Sealing.
func (s *Store) Shred(ctx context.Context, runID string, by bide.Cause, done bool) error {
	at, sealed, err := s.placeOf(ctx, runID)
	if err != nil {
		return err
	}
	if !sealed {
		return bide.Errorf(bide.CodeWrongStatus, "run %s is not encrypted, so it cannot be shredded; delete it instead", runID)
	}
	defer s.cache.forget(at)
	return s.changeSlot(ctx, at, func(k *slot) bool {
		if k.DataKey == nil || !done && k.Shred != nil {
			return false
		}
		if k.Shred == nil {
			k.Shred = &shred{RunID: runID, Cause: by}
		}
		if done {
			k.DataKey = nil
		}
		return true
	})
}
