package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway/auth"
)

// Flows call each other by name, whatever version and whoever published it. So a name belongs to the namespace that
// published it first, and nobody else can publish under it. Those of the default namespace, which is that of whoever runs the
// installation, are seen by all; those of others, by their namespace alone.
const (
	ownerKind  = "flow_owner"  // by flow
	uploadKind = "flow_upload" // by version
)

// upload says who published what, in the documents of both kinds.
type upload struct {
	Namespace string    `json:"namespace,omitempty"`
	Actor     string    `json:"actor,omitempty"`
	Command   string    `json:"command_id,omitempty"`
	At        time.Time `json:"at"`
}

// seenIn reports whether a namespace sees the flows of an owner.
func seenIn(namespace, owner string) bool { return owner == "" || owner == namespace }

// owners returns the namespaces that flows belong to; those that are not there are of the default one.
func (l *library) owners(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for q := (bide.DocumentQuery{Kind: ownerKind, Limit: 1000}); ; {
		page, err := l.rt.Documents().Documents(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Documents {
			u, err := readUpload(&page.Documents[i])
			if err != nil {
				return nil, err
			}
			out[page.Documents[i].ID] = u.Namespace
		}
		if q.After = page.Next; q.After == "" {
			return out, nil
		}
	}
}

// owner returns the namespace that a flow belongs to.
func (l *library) owner(ctx context.Context, id string) (string, error) {
	doc, err := l.rt.Documents().Document(ctx, ownerKind, id)
	if errors.Is(err, bide.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	u, err := readUpload(doc)
	return u.Namespace, err
}

func readUpload(doc *bide.Document) (u upload, err error) {
	if err = json.Unmarshal(doc.Body, &u); err != nil {
		err = bide.Errorf(bide.CodeCorrupt, "document %s of kind %s: %w", doc.ID, doc.Kind, err)
	}
	return u, err
}

// publish publishes a flow for a principal, and notes who it was. It fails with bide.ErrExists when the name is
// another namespace's.
func (s *Server) publish(ctx context.Context, p *auth.Principal, cmd bide.Command, d *flow.Doc) error {
	u := upload{Namespace: p.Namespace, Actor: p.Actor, Command: cmd.ID, At: s.opts.Clock().UTC().Truncate(time.Microsecond)}
	if err := s.claim(ctx, d.ID(), u); err != nil {
		return err
	}
	if err := flow.Publish(ctx, s.rt, d); err != nil {
		return err
	}
	return s.once(ctx, uploadKind, d.Version(), u)
}

// claim makes a name the namespace's, unless it is already.
func (s *Server) claim(ctx context.Context, id string, u upload) error {
	taken := bide.Errorf(bide.CodeExists, "there is a flow %q that is not of this namespace; choose another name", id)
	for _, wf := range s.rt.Workflows() {
		if wf.ID != id {
			continue
		}
		if _, err := s.library.doc(ctx, wf.Version); errors.Is(err, bide.ErrNotFound) {
			return taken // code of the program
		} else if err != nil {
			return err
		}
	}
	if u.Namespace != "" {
		switch d, _, err := s.library.find(ctx, "", id, ""); {
		case err == nil && d != nil:
			return taken
		case err != nil && !errors.Is(err, bide.ErrUnknownWorkflow):
			return err
		}
	}
	if err := s.once(ctx, ownerKind, id, u); err != nil {
		return err
	}
	if owner, err := s.library.owner(ctx, id); err != nil || owner != u.Namespace {
		return errors.Join(err, taken)
	}
	return nil
}

// once keeps a document, unless there is one.
func (s *Server) once(ctx context.Context, kind, id string, u upload) error {
	body, err := json.Marshal(u)
	if err != nil {
		return err
	}
	_, err = s.store.PutDocument(ctx, bide.Document{Kind: kind, ID: id, Body: body, UpdatedAt: u.At})
	if errors.Is(err, bide.ErrConflict) {
		return nil
	}
	return err
}
