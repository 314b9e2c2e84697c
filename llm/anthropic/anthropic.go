// Package anthropic has the provider for Anthropic's Messages API. It knows that API and
// nothing of effects, configuration files or prices.
package anthropic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/bide-dev/bide/llm"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// apiVersion is the version of the API, which each request names.
const apiVersion = "2023-06-01"

// Provider asks one server.
type Provider struct {
	cfg llm.ProviderConfig
	env llm.Env
	url string
}

var (
	_ llm.Provider = (*Provider)(nil)
	_ llm.Open     = Open
)

// Open is the llm.Open of the kind "anthropic". It fails when there is no address.
func Open(cfg llm.ProviderConfig, env llm.Env) (llm.Provider, error) {
	if u, err := url.Parse(cfg.BaseURL); err != nil || u.Host == "" {
		return nil, errors.New("it needs a base_url, such as https://api.anthropic.com")
	}
	return &Provider{cfg: cfg, env: env, url: strings.TrimSuffix(cfg.BaseURL, "/") + "/v1/messages"}, nil
}

// errCut is a stream without a terminal signal.
var errCut = errors.New("the stream ended before the answer was complete")

// Generate implements llm.Provider.
func (p *Provider) Generate(ctx context.Context, req *llm.Request, emit func(llm.Delta)) (*llm.Response, error) {
	body, err := p.request(req)
	if err != nil {
		return nil, err
	}
	key, err := p.env.Key(ctx, p.cfg)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	header.Set("Anthropic-Version", apiVersion)
	if key != "" {
		header.Set("X-Api-Key", key)
	}
	resp, err := p.env.Stream(ctx, p.url, header, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return p.read(ctx, resp, emit)
}

// read takes the stream of an answer. Only message_stop says that the answer is complete.
func (p *Provider) read(ctx context.Context, resp *http.Response, emit func(llm.Delta)) (*llm.Response, error) {
	a := answer{kind: p.cfg.Kind, asm: llm.NewAssembler(emit)}
	events := ssestream.NewDecoder(resp)
	for events.Next() {
		data := bytes.TrimSpace(events.Event().Data)
		if len(data) == 0 {
			continue
		}
		var e event
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, llm.Errorf(llm.CodeProtocol, "an event of the stream cannot be read: %w", err)
		}
		if e.Type == "error" {
			return nil, llm.Refused(http.StatusOK, resp.Header, data)
		}
		if err := a.add(&e); err != nil {
			return nil, err
		}
		if a.complete {
			return a.response()
		}
	}
	if err := events.Err(); err != nil {
		return nil, llm.Transport(ctx, llm.CodeProtocol, err)
	}
	return nil, llm.Transport(ctx, llm.CodeProtocol, errCut)
}
