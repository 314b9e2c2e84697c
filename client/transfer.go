package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/bide-dev/bide/gateway/api"
)

// ExportQuery says what to export: runs, each with all below it, or with All every run of the store.
type ExportQuery struct {
	Runs      []string
	All       bool
	Artifacts bool     // with the blobs that the records name, as far as the client may have them
	Documents []string // kinds of documents that go along: flow, bookmark
}

// Export returns runs as one file, to be closed. Reading fails when the server cannot send it to its end; whether it is whole, the file says.
func (c *Client) Export(ctx context.Context, q ExportQuery) (io.ReadCloser, error) {
	at := url.Values{"run": q.Runs, "documents": q.Documents}
	if q.All {
		at.Set("all", "true")
	}
	if q.Artifacts {
		at.Set("artifacts", "true")
	}
	resp, err := c.blob(ctx, http.MethodGet, path("export")+"?"+at.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// ImportOptions refines an import. Nil means as history, without blobs and documents.
type ImportOptions struct {
	Live      bool     // runs that have not ended go on in the server's store
	Artifacts bool     // blobs are kept as well
	Documents []string // kinds of documents that are taken: flow, bookmark
	From      string   // where the runs come from, as it is said of those that become history
	Public    []string // public keys that must have signed what is signed
}

// Import puts the runs of an export into the server's store. It is not sent again when that fails; sending it again is safe, and
// finishes one that was cut off. It fails with bide.ErrCorrupt when the file is at fault, having changed nothing.
func (c *Client) Import(ctx context.Context, file io.Reader, opts *ImportOptions) (*api.Imported, error) {
	var o ImportOptions
	if opts != nil {
		o = *opts
	}
	at := values("live", flag(o.Live), "artifacts", flag(o.Artifacts), "from", o.From)
	at["documents"], at["public"] = o.Documents, o.Public
	out := &api.Imported{}
	return out, c.upload(ctx, path("import")+"?"+at.Encode(), file, out)
}
