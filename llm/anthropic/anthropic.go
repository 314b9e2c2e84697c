// Package anthropic has the provider for Anthropic's Messages API, on the official SDK. It knows that API and
// nothing of effects, configuration files or prices.
package anthropic

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/bide-dev/bide/llm"
)

// Provider asks one server.
type Provider struct {
	cfg llm.ProviderConfig
	env llm.Env
}

var (
	_ llm.Provider = (*Provider)(nil)
	_ llm.Open     = Open
)

// Open is the llm.Open of the kind "anthropic". It fails when there is no address.
func Open(cfg llm.ProviderConfig, env llm.Env) (llm.Provider, error) {
	if cfg.BaseURL == "" {
		return nil, errors.New("it needs a base_url, such as https://api.anthropic.com")
	}
	return &Provider{cfg: cfg, env: env}, nil
}

// errCut is a stream without a terminal signal.
var errCut = errors.New("the stream ended before the answer was complete")

// Generate implements llm.Provider.
func (p *Provider) Generate(ctx context.Context, req *llm.Request, emit func(llm.Delta)) (*llm.Response, error) {
	params, err := p.params(req)
	if err != nil {
		return nil, err
	}
	key, err := p.env.Key(ctx, p.cfg)
	if err != nil {
		return nil, err
	}
	opts := []option.RequestOption{option.WithBaseURL(p.cfg.BaseURL), option.WithHTTPClient(p.env.HTTP), option.WithMaxRetries(0), option.WithMiddleware(noRedirect)}
	if key != "" {
		opts = append(opts, option.WithAPIKey(key))
	}
	for name, value := range req.Options {
		opts = append(opts, option.WithJSONSet(name, value))
	}
	service := anthropic.NewMessageService(opts...) // not NewClient, which takes keys and addresses from the environment
	stream := service.NewStreaming(ctx, *params)
	defer stream.Close()
	a := answer{kind: p.cfg.Kind, asm: llm.NewAssembler(emit)}
	for stream.Next() {
		e := stream.Current()
		if err := a.add(&e); err != nil {
			return nil, err
		}
		if a.complete {
			return a.response()
		}
	}
	return nil, fault(ctx, stream.Err())
}

// noRedirect refuses an answer that leads elsewhere, which the SDK would take for a stream.
func noRedirect(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	resp, err := next(r)
	if err == nil && resp.StatusCode >= 300 && resp.StatusCode < 400 {
		defer resp.Body.Close()
		return nil, llm.Refused(resp.StatusCode, resp.Header, []byte("the address leads elsewhere"))
	}
	return resp, err
}

// fault makes an llm.Error of what the SDK says.
func fault(ctx context.Context, err error) error {
	var api *anthropic.Error
	var dial *url.Error
	var own *llm.Error
	switch {
	case err == nil:
		return llm.Transport(ctx, llm.CodeProtocol, errCut)
	case errors.As(err, &api):
		header := http.Header{}
		if api.Response != nil {
			header = api.Response.Header
		}
		return llm.Refused(api.StatusCode, header, []byte(api.RawJSON()))
	case errors.As(err, &own):
		return own
	case errors.As(err, &dial):
		return llm.Transport(ctx, llm.CodeUnavailable, err)
	}
	return llm.Transport(ctx, llm.CodeProtocol, err)
}
