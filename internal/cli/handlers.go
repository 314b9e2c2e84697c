package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
)

// handlers are what flows are carried out with, as the configuration allows.
func handlers(cfg *config) (*flow.Handlers, error) {
	h := &flow.Handlers{Env: cfg.env, Secrets: flowSecrets(cfg), AllowExec: cfg.list("allow.exec")}
	var err error
	h.AllowAddresses, err = networks(cfg.list("allow.addresses"))
	return h, err
}

// networks reads networks such as 10.0.0.0/8.
func networks(texts []string) (out []netip.Prefix, err error) {
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		out = append(out, prefix)
	}
	return out, nil
}

// flowSecrets are the secrets that flows may use.
func flowSecrets(cfg *config) flow.Secrets {
	all := secrets(cfg.secrets)
	if allowed := cfg.list("allow.secrets"); cfg.uploaded && !slices.Contains(allowed, "*") {
		return allowedSecrets{all, allowed}
	}
	return all
}

// allowedSecrets are those of a list.
type allowedSecrets struct {
	secrets
	names []string
}

// Secret returns a secret of the list, or fails.
func (s allowedSecrets) Secret(ctx context.Context, name string) (string, error) {
	if !slices.ContainsFunc(s.names, func(allowed string) bool { return strings.EqualFold(allowed, name) }) {
		return "", bide.Permanent(errors.New("flows of this server may not use it; the setting allow.secrets names those that they may"))
	}
	return s.secrets.Secret(ctx, name)
}

// secrets are the secrets of flows, by their names in capitals.
type secrets map[string]string

// Secret returns a secret, or fails when there is none of the name.
func (s secrets) Secret(_ context.Context, name string) (string, error) {
	value, ok := s[strings.ToUpper(name)]
	if !ok {
		return "", bide.Permanent(fmt.Errorf("it is not known here; set %s%s in the environment", secretPrefix, strings.ToUpper(name)))
	}
	return value, nil
}
