package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/bide-dev/bide"
)

// onceKind is the kind of the documents that say which commands have made or removed what has no ledger.
const onceKind = "command"

// noted is such a document for a command about something; its ID is empty when the command has none.
func (s *Server) noted(cmd bide.Command, about string) (bide.Document, error) {
	if cmd.ID == "" {
		return bide.Document{}, nil
	}
	body, err := json.Marshal(map[string]string{"about": about, "actor": cmd.Actor})
	sum := sha256.Sum256([]byte(cmd.ID + "\x00" + about))
	return bide.Document{Kind: onceKind, ID: hex.EncodeToString(sum[:]), Body: body, UpdatedAt: s.opts.Clock().UTC()}, err
}

// makeOnce makes something whose secret is shown once. The same command again is a
// conflict, as there is no telling the secret again.
func (s *Server) makeOnce(ctx context.Context, cmd bide.Command, about string, do func() error) error {
	note, err := s.noted(cmd, about)
	if err != nil {
		return err
	}
	if note.ID == "" {
		return do()
	}
	rev, err := s.store.PutDocument(ctx, note)
	if errors.Is(err, bide.ErrConflict) {
		return bide.Errorf(bide.CodeConflict, "the %s of this Idempotency-Key was made before, and its secret is shown once; look at the list", about)
	}
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return errors.Join(err, s.store.DeleteDocument(ctx, onceKind, note.ID, rev))
	}
	return nil
}

// removeOnce removes something. The same command again is done already.
func (s *Server) removeOnce(ctx context.Context, cmd bide.Command, about string, do func() error) error {
	note, err := s.noted(cmd, about)
	if err != nil {
		return err
	}
	err = do()
	if note.ID == "" || err != nil && !errors.Is(err, bide.ErrNotFound) {
		return err
	}
	if err != nil {
		if _, nerr := s.store.Document(ctx, onceKind, note.ID); nerr == nil {
			return nil // by this command
		} else if !errors.Is(nerr, bide.ErrNotFound) {
			return nerr
		}
		return err
	}
	if _, err := s.store.PutDocument(ctx, note); err != nil && !errors.Is(err, bide.ErrConflict) {
		return err
	}
	return nil
}
