package llm

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// Provider carries out requests. It may be used from many goroutines.
type Provider interface {
	// Generate makes exactly one HTTP request and returns the whole answer; it does
	// not try again. emit, when not nil, is called with each delta as it comes, never after Generate has
	// returned. Request.Model is the provider's own name, without its prefix.
	//
	// Generate fails with an *Error. It is an error, not an answer, when the stream ends
	// without saying that the answer is complete (CodeProtocol).
	Generate(ctx context.Context, req *Request, emit func(Delta)) (*Response, error)
}

// Open makes the provider that a configuration asks for. It fails when the
// configuration is not enough; it reaches for neither network nor secrets.
type Open func(cfg ProviderConfig, env Env) (Provider, error)

// Kinds are the protocols that a program has providers for, by name.
type Kinds map[string]Open

// Env is what a provider takes from outside.
type Env struct {
	Secrets Secrets
	// HTTP makes the requests. It follows no redirects, so that there is one request per attempt and a key
	// goes to one host.
	HTTP *http.Client
}

// Secrets resolves references to secrets, such as "env:OPENAI_API_KEY", when they are used (K30).
type Secrets interface {
	// Secret returns the value that ref stands for. Errors name the reference, never the value.
	Secret(ctx context.Context, ref string) (string, error)
}

// EnvSecrets resolves "env:NAME" to the environment variable NAME.
type EnvSecrets struct{}

var _ Secrets = EnvSecrets{}

// Secret implements Secrets. It fails when the variable is not set or empty, and for references of other forms.
func (EnvSecrets) Secret(_ context.Context, ref string) (string, error) {
	name, ok := strings.CutPrefix(ref, "env:")
	if !ok {
		return "", fmt.Errorf("the secret %q is not of the form env:NAME", ref)
	}
	value := os.Getenv(name)
	if value == "" {
		return "", fmt.Errorf("the environment variable %s is not set", name)
	}
	return value, nil
}

// Key resolves the key of a provider for one request. Without a reference there is none.
func (e Env) Key(ctx context.Context, cfg ProviderConfig) (string, error) {
	if cfg.Key == "" {
		return "", nil
	}
	key, err := e.Secrets.Secret(ctx, cfg.Key)
	if err != nil {
		return "", &Error{Code: CodeAuth, Message: "the key cannot be had", Err: err}
	}
	return key, nil
}
