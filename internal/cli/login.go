package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/bide-dev/bide/gateway/auth"
)

// loginSetting is the setting login.
type loginSetting struct {
	auth.LoginOptions
	// Secret is the name of the client's secret; its value is in the environment.
	Secret string `json:"client_secret,omitempty"`
}

func parseLogin(value string) (s loginSetting, err error) {
	dec := json.NewDecoder(strings.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return s, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return s, errors.New("there is something after the object")
	}
	return s, s.Check()
}

func checkLogin(value string) error {
	if value == "" {
		return nil
	}
	_, err := parseLogin(value)
	return err
}

// login returns how people log in, or nil when the configuration does not say.
func (c *config) login(ctx context.Context, sessions *auth.Sessions, log *slog.Logger) (*auth.Login, error) {
	if c.get("login") == "" {
		return nil, nil
	}
	s, err := parseLogin(c.get("login"))
	if err != nil {
		return nil, err
	}
	if s.Secret != "" {
		if s.ClientSecret, err = secrets(c.secrets).Secret(ctx, s.Secret); err != nil {
			return nil, &problem{code: exitUsage, what: fmt.Sprintf("login: there is no secret %q for the client %s", s.Secret, s.ClientID), why: err.Error(), err: err}
		}
	}
	s.Logger = log
	return auth.NewLogin(sessions, s.LoginOptions)
}
