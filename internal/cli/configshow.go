package cli

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newConfig(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Look at the configuration", Args: noArgs, Long: configHelp,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var origins bool
	show := &cobra.Command{
		Use: "show", Short: "Write every setting, and with --origin where it comes from", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			var all []shownSetting
			for _, s := range settings() {
				v := a.cfg.values[s.name]
				shown := shownSetting{Name: s.name, Value: v.value}
				if s.name == "store" {
					shown.Value = shownStore(v.value)
				}
				if origins {
					shown.Origin = v.from
				}
				all = append(all, shown)
			}
			for _, name := range a.cfg.strange {
				a.say("note: %s in the environment is no setting", name)
			}
			header := []string{"SETTING", "VALUE"}
			if origins {
				header = append(header, "ORIGIN")
			}
			return list(out, all, header, func(s shownSetting) []string { return []string{s.Name, s.Value, s.Origin}[:len(header)] })
		},
	}
	show.Flags().BoolVar(&origins, "origin", false, "where each value comes from")
	cmd.AddCommand(show)
	return cmd
}

// shownSetting is a setting as it is shown.
type shownSetting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin,omitempty"`
}

// shownStore is the URL of a store without its password.
func shownStore(store string) string {
	if !strings.HasPrefix(store, "postgres") {
		return store
	}
	u, err := url.Parse(store)
	if err != nil || strings.Contains(u.Path, "@") {
		return "postgres://…" // it may hold a password anywhere
	}
	if q := u.Query(); q.Has("password") {
		q.Set("password", "xxxxx")
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}
