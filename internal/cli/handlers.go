package cli

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
)

// handlers are what flows are carried out with, as the configuration allows.
func handlers(cfg *config) (*flow.Handlers, error) {
	h := &flow.Handlers{Env: cfg.env, Secrets: secrets(cfg.secrets), AllowExec: cfg.list("allow.exec")}
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
