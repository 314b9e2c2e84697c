package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/bide-dev/bide"
)

// FetchOptions refines Fetch. Nil means the defaults.
type FetchOptions struct {
	// AllowPrivate lets it reach this machine and its networks. Defaults to the public internet only.
	AllowPrivate bool
}

type fetchArgs struct {
	URL string `json:"url" jsonschema:"an http or https URL"`
}

// Fetch is a tool that reads a URL with GET. The address is checked when the
// connection is made, so that neither a name that resolves to a private address nor a redirect gets around it.
func Fetch(opts *FetchOptions) Tool {
	if opts == nil {
		opts = &FetchOptions{}
	}
	client := &http.Client{Transport: NewTransport(opts.AllowPrivate), CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("more than 10 redirects")
		}
		return checkFetchURL(req.URL)
	}}
	t := Func("fetch", "Reads a URL and returns what is there.", ReadOnly, func(context.Context, fetchArgs) (any, error) { return nil, nil })
	t.Source, t.Outside = bide.ToolSource{Kind: "builtin"}, true
	t.Run = func(ctx context.Context, req *Request) (Reply, error) {
		var args fetchArgs
		if err := json.Unmarshal(req.Args, &args); err != nil {
			return Reply{}, err
		}
		out, err := http.NewRequestWithContext(ctx, http.MethodGet, args.URL, nil)
		if err != nil {
			return Reply{}, err
		}
		if err := checkFetchURL(out.URL); err != nil {
			return Reply{}, err
		}
		head, err := httputil.DumpRequestOut(out, false)
		if err != nil {
			return Reply{}, err
		}
		if err := req.Keep(ctx, "request", head); err != nil {
			return Reply{}, err
		}
		return exchange(ctx, client, out, req, Reveal(nil))
	}
	return t
}

func checkFetchURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q is not an http or https URL", u.Redacted())
	case u.User != nil:
		return errors.New("the URL holds a user name or password")
	}
	return nil
}
