// Package openai has the provider for the Chat Completions protocol: OpenAI, Google's Gemini at its compatible address,
// and what else speaks it, such as Ollama, vLLM, LM Studio, OpenRouter and Groq. It knows the protocol and
// nothing of effects, configuration files or prices.
package openai

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

// Provider asks one server.
type Provider struct {
	cfg llm.ProviderConfig
	env llm.Env
	url string
	// ownServer tells OpenAI's own servers, which know fields by newer names than those that imitate them.
	ownServer bool
}

var (
	_ llm.Provider = (*Provider)(nil)
	_ llm.Open     = Open
)

// Open is the llm.Open of the kinds "openai" and "gemini". It fails when there is no address.
func Open(cfg llm.ProviderConfig, env llm.Env) (llm.Provider, error) {
	u, err := url.Parse(cfg.BaseURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("it needs a base_url, such as http://127.0.0.1:11434/v1")
	}
	own := u.Host == "api.openai.com" || strings.HasSuffix(u.Host, ".openai.azure.com")
	return &Provider{cfg: cfg, env: env, url: strings.TrimSuffix(cfg.BaseURL, "/") + "/chat/completions", ownServer: own}, nil
}

// errCut is a stream without a terminal signal.
var errCut = errors.New("the stream ended before the answer was complete")

// Generate implements llm.Provider.
func (p *Provider) Generate(ctx context.Context, req *llm.Request, emit func(llm.Delta)) (*llm.Response, error) {
	key, err := p.env.Key(ctx, p.cfg)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if key != "" {
		header.Set("Authorization", "Bearer "+key)
	}
	resp, err := p.env.Stream(ctx, p.url, header, p.request(req))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return p.read(ctx, resp, emit)
}

// read takes the stream of an answer. Only a finish_reason says that the answer is complete.
func (p *Provider) read(ctx context.Context, resp *http.Response, emit func(llm.Delta)) (*llm.Response, error) {
	a := answer{kind: p.cfg.Kind, asm: llm.NewAssembler(emit)}
	events := ssestream.NewDecoder(resp)
	for events.Next() {
		data := bytes.TrimSpace(events.Event().Data)
		if bytes.Equal(data, []byte("[DONE]")) {
			break
		}
		if len(data) == 0 {
			continue
		}
		var c chunk
		if err := json.Unmarshal(data, &c); err != nil {
			return nil, llm.Errorf(llm.CodeProtocol, "an event of the stream cannot be read: %w", err)
		}
		if events.Event().Type == "error" || len(c.Error) > 0 && string(c.Error) != "null" {
			return nil, llm.Refused(http.StatusOK, resp.Header, data)
		}
		if err := a.add(&c); err != nil {
			return nil, err
		}
	}
	if err := events.Err(); err != nil {
		return nil, llm.Transport(ctx, llm.CodeProtocol, err)
	}
	return a.response(ctx)
}
