package llm

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/bide-dev/bide"
)

// Models are the models that a program can ask. It may be used from many goroutines.
type Models struct {
	fallback  string
	providers map[string]Provider
	configs   map[string]ProviderConfig
	known     []string // kinds
	prices    *Prices
	images    func(ctx context.Context, url string) (mediaType string, data []byte, err error)
	deltas    *Deltas
	secrets   *remembered
}

// Options refines Models. Nil means the defaults.
type Options struct {
	// Secrets resolves the keys. Defaults to EnvSecrets.
	Secrets Secrets
	// NamedOnly leaves out the providers that are well known but not named in the configuration: a
	// key in the environment alone does not make a model available.
	NamedOnly bool
	// HTTP makes the requests. Defaults to http.DefaultTransport without a timeout; the effect's timeout ends a request.
	HTTP http.RoundTripper
	// Images resolves the addresses of pictures that are neither http, https nor data. Defaults to refusing them.
	Images func(ctx context.Context, url string) (mediaType string, data []byte, err error)
	// Relay passes answers on to subscribers in other processes while they come, and from there to those in this one; a
	// store may be one. Defaults to none.
	Relay bide.Relay
}

// New makes the models of a configuration. Providers whose kind is not in kinds are left out, unless
// cfg names them: then New fails. It also fails when a provider or the file of prices cannot be opened.
func New(cfg Config, kinds Kinds, opts *Options) (*Models, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Secrets == nil {
		o.Secrets = EnvSecrets{}
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	prices, err := loadPrices(cfg.Prices)
	if err != nil {
		return nil, err
	}
	m := &Models{fallback: cfg.Default, providers: map[string]Provider{}, configs: cfg.all(), known: slices.Sorted(maps.Keys(kinds)),
		prices: prices, images: o.Images, deltas: NewDeltas(o.Relay), secrets: &remembered{from: o.Secrets, values: map[string]bool{}}}
	env := Env{Secrets: m.secrets, HTTP: &http.Client{Transport: o.HTTP, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	for name, p := range m.configs {
		open := kinds[p.Kind]
		_, named := cfg.Providers[name]
		named = named || strings.HasPrefix(cfg.Default, name+"/")
		switch {
		case open == nil && named:
			return nil, fmt.Errorf("provider %q: the kind %q is none of %s", name, p.Kind, strings.Join(m.known, ", "))
		case open == nil, o.NamedOnly && !named:
			continue
		}
		if m.providers[name], err = open(p, env); err != nil {
			return nil, fmt.Errorf("provider %q: %w", name, err)
		}
	}
	return m, nil
}

// Deltas is where answers can be followed while they come.
func (m *Models) Deltas() *Deltas { return m.deltas }

// Providers lists the names of the providers.
func (m *Models) Providers() []string { return slices.Sorted(maps.Keys(m.providers)) }

// Config returns what a provider is configured as; its Key is a reference. It is the zero value for one that there is not.
func (m *Models) Config(provider string) ProviderConfig {
	if m.providers[provider] == nil {
		return ProviderConfig{}
	}
	return m.configs[provider]
}

// Default is the model for requests that name none; it may be empty.
func (m *Models) Default() string { return m.fallback }

// Prices are those that calls are counted with.
func (m *Models) Prices() *Prices { return m.prices }

// Generate asks a model, once. emit, when not nil, is called with each delta as it comes. It fails with an
// *Error. With CodeInvalidOutput, and for a tool call without a name, the response is returned as well.
func (m *Models) Generate(ctx context.Context, req Request, emit func(Delta)) (*Response, error) {
	raw, err := json.Marshal(req)
	if err != nil {
		return nil, &Error{Code: CodeInvalidRequest, Message: "the request is not JSON", Err: err}
	}
	return m.generate(ctx, req, string(raw), emit)
}

// generate asks for an answer whose tool calls without an id get one that derives from key.
func (m *Models) generate(ctx context.Context, req Request, key string, emit func(Delta)) (*Response, error) {
	if req.Model == "" {
		req.Model = m.fallback
	}
	asked, output := req.Model, req.Output
	resp, err := m.ask(ctx, &req, emit)
	if err != nil {
		return nil, m.fault(ctx, asked, err)
	}
	nameCalls(&resp.Message, key)
	resp.Role, resp.Model = RoleAssistant, asked
	resp.Provider.Kind = m.configs[strings.SplitN(asked, "/", 2)[0]].Kind
	resp.Cost = m.prices.Cost(asked, resp.Usage)
	if i := slices.IndexFunc(resp.Parts, func(p Part) bool { return p.Type == PartToolCall && p.Name == "" }); i >= 0 {
		return resp, m.fault(ctx, asked, Errorf(CodeProtocol, "a tool call has no name, only the arguments %s", clip(resp.Parts[i].ArgsText+string(resp.Parts[i].Args))))
	}
	if output == nil || resp.Finish == FinishToolCalls {
		return resp, nil
	}
	if err := resp.readOutput(output); err != nil {
		return resp, m.fault(ctx, asked, err)
	}
	return resp, nil
}

// ask passes the request to its provider.
func (m *Models) ask(ctx context.Context, req *Request, emit func(Delta)) (*Response, error) {
	name, model, err := splitModel(req.Model)
	if err != nil {
		return nil, &Error{Code: CodeInvalidRequest, Message: err.Error()}
	}
	p := m.providers[name]
	if p == nil {
		return nil, &Error{Code: CodeInvalidRequest, Message: m.missing(name)}
	}
	if err := req.check(); err != nil {
		return nil, err
	}
	req.Model = model
	if req.Output != nil && req.Output.Prompt {
		req.System = strings.TrimSpace(req.System + "\n\nAnswer with JSON alone, without any text around it, that fits this JSON Schema:\n" + string(req.Output.Schema))
		req.Output = nil
	}
	if err := m.loadImages(ctx, req); err != nil {
		return nil, err
	}
	return p.Generate(ctx, req, emit)
}

// missing says that there is no provider of a name, and what to do about it.
func (m *Models) missing(name string) string {
	_, known := m.configs[name]
	has := "there is none"
	if names := m.Providers(); len(names) > 0 {
		has = "there are " + strings.Join(names, ", ")
	}
	text := fmt.Sprintf("there is no provider %q here; %s", name, has)
	if known {
		text += fmt.Sprintf("; name it under providers in the configuration of models to let it be used, as %s: {}", name)
	}
	return text
}

// loadImages puts data where a request has an address that no provider could follow.
func (m *Models) loadImages(ctx context.Context, req *Request) error {
	req.Messages = slices.Clone(req.Messages)
	for i := range req.Messages {
		msg := &req.Messages[i]
		for k, p := range msg.Parts {
			if p.Type != PartImage {
				continue
			}
			scheme, _, _ := strings.Cut(p.Image.URL, ":")
			if slices.Contains([]string{"http", "https", "data"}, scheme) {
				continue
			}
			if m.images == nil {
				return Errorf(CodeInvalidRequest, "messages[%d].parts[%d]: the picture %q is not at an http, https or data address", i, k, clip(p.Image.URL))
			}
			mediaType, data, err := m.images(ctx, p.Image.URL)
			if err != nil {
				return Errorf(CodeInvalidRequest, "messages[%d].parts[%d]: picture %q: %w", i, k, clip(p.Image.URL), err)
			}
			msg.Parts = slices.Clone(msg.Parts)
			msg.Parts[k].Image = &Image{URL: "data:" + mediaType + ";base64," + base64.StdEncoding.EncodeToString(data)}
		}
	}
	return nil
}

// fault brings an error into the form in which it leaves: an *Error with the model, and without secrets.
func (m *Models) fault(ctx context.Context, model string, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		e = Transport(ctx, CodeProtocol, err)
	}
	out := *e
	out.Model = model
	if out.Err != nil && out.Code != CodeCancelled {
		if text := out.Err.Error(); !strings.Contains(out.Message, text) {
			out.Message += ": " + text
		}
		out.Err = nil // its text may hold anything
	}
	out.Message, out.RequestID = clip(m.secrets.hide(out.Message, hiddenInErrors)), m.secrets.hide(out.RequestID, hiddenInErrors)
	return &out
}

// remembered are the secrets that were used, so that no error repeats them.
type remembered struct {
	from   Secrets
	mu     sync.Mutex
	values map[string]bool
}

// Secret implements Secrets.
func (r *remembered) Secret(ctx context.Context, ref string) (string, error) {
	value, err := r.from.Secret(ctx, ref)
	if err == nil && value != "" {
		r.mu.Lock()
		r.values[value] = true
		r.mu.Unlock()
	}
	return value, err
}

// Secrets shorter than this are left alone. In an answer that is more than in an error, since
// local servers are given keys such as "lm-studio", and a model may say the word.
const (
	hiddenInErrors  = 4
	hiddenInAnswers = 16
)

// hide takes the secrets of at least min bytes out of a text.
func (r *remembered) hide(s string, min int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range slices.SortedFunc(maps.Keys(r.values), func(a, b string) int { return len(b) - len(a) }) {
		if len(v) < min {
			continue
		}
		s = strings.ReplaceAll(s, v, "[secret]")
		if quoted, err := json.Marshal(v); err == nil {
			s = strings.ReplaceAll(s, string(quoted[1:len(quoted)-1]), "[secret]")
		}
	}
	return s
}

// cleanDelta takes the secrets out of a fragment that holds them whole.
func (r *remembered) cleanDelta(d Delta) Delta {
	for _, text := range []*string{&d.Part.Text, &d.Part.ArgsText, &d.Part.ID, &d.Part.Name} {
		*text = r.hide(*text, hiddenInAnswers)
	}
	return d
}

// clean takes the secrets out of a response, which is as the server wrote it.
func (r *remembered) clean(resp *Response) (bide.JSON, error) {
	raw, err := json.Marshal(resp)
	if err != nil {
		return nil, err
	}
	return bide.JSON(r.hide(string(raw), hiddenInAnswers)), nil
}

// digest is the hex SHA-256 of texts.
func digest(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		h.Write([]byte(t))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}
