package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/client"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/store/mem"
)

// keeper returns a client of a new server with artifacts, and the runtime of the server.
func keeper(t *testing.T) (*client.Client, *bide.Runtime) {
	t.Helper()
	store := mem.New()
	rt := bide.Must(bide.New(store, nil))
	everything := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(auth.With(r.Context(), &auth.Principal{Actor: "ann", Roles: []auth.Role{auth.Administrator}})))
		})
	}
	srv := bide.Must(gateway.New(rt, store, &gateway.Options{Authenticate: everything, Workflows: []bide.Workflow{ask()}, Artifacts: bide.Must(artifact.OpenDir(t.TempDir()))}))
	ts := httptest.NewServer(srv)
	t.Cleanup(func() { srv.Close(); ts.Close() })
	return bide.Must(client.New(ts.URL, nil)), rt
}

// A client moves a run and its blob from one server to another, and sees to the other.
func TestAClientMovesRuns(t *testing.T) {
	ctx := t.Context()
	from, rt := keeper(t)
	to, there := keeper(t)
	blob, err := from.PutArtifact(ctx, strings.NewReader("a picture"))
	if err != nil {
		t.Fatal(err)
	}
	run, err := rt.Run(ctx, ask(), map[string]string{"sha256": blob.SHA256}, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := from.Export(ctx, client.ExportQuery{Runs: []string{run.ID}, Artifacts: true})
	if err != nil {
		t.Fatal(err)
	}
	file, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	opts := &client.ImportOptions{Live: true, Artifacts: true, From: "the other site"}
	done, err := to.Import(ctx, bytes.NewReader(file), opts)
	if err != nil || done.Runs != 1 || done.Live != 1 || done.Artifacts != 1 {
		t.Errorf("Import = %+v, %v; want a run that goes on, and its blob", done, err)
	}
	if again, err := to.Import(ctx, bytes.NewReader(file), opts); err != nil || again.Known != 1 || again.Records != 0 {
		t.Errorf("Import again = %+v, %v; want nothing new", again, err)
	}
	if _, err := to.Import(ctx, bytes.NewReader(file[:len(file)-10]), nil); !errors.Is(err, bide.ErrCorrupt) {
		t.Errorf("Import of a file that was cut = %v, want ErrCorrupt", err)
	}
	if _, err := there.Resume(ctx, run.ID, run.Waits[0].ID, "yes"); err != nil {
		t.Error(err)
	}
	if _, err := from.Export(ctx, client.ExportQuery{Runs: []string{"nobody"}}); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Export of a run that is not there = %v, want ErrNotFound", err)
	}
	if swept, err := to.SweepArtifacts(ctx, api.Sweep{Older: bide.Duration(artifact.MinAge * 2)}, ""); err != nil || swept.Kept != 1 || swept.Removed != 0 {
		t.Errorf("SweepArtifacts = %+v, %v; want the blob kept", swept, err)
	}
	if _, err := to.Compact(ctx, ""); !errors.Is(err, bide.ErrWrongStatus) {
		t.Errorf("Compact = %v, want ErrWrongStatus for a store in memory", err)
	}
	if _, err := to.Case(ctx, run.ID); !errors.Is(err, bide.ErrWrongStatus) {
		t.Errorf("Case = %v, want ErrWrongStatus from a server that makes none", err)
	}
}
