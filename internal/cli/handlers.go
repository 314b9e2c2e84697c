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
	for _, text := range cfg.list("allow.addresses") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		h.AllowAddresses = append(h.AllowAddresses, prefix)
	}
	return h, nil
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
