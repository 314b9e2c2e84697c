package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newDoctor(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check the configuration, the store and the flows",
		Long: `Check the configuration and what it names: files and who may read them, certificates, flows, models, servers of
tools, the provider of log-ins, the port, the store or the server, its clock, tokens, webhooks and runs that nobody sees to. Each
finding says what to do. The exit code is 1 when something must be done. Nothing is changed, and a store that is not there is not made;
servers of tools are started and asked which tools they have.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			findings := a.examine(cmd)
			bad := 0
			for _, f := range findings {
				bad += btoi(f.Verdict == verdictBad)
			}
			err = list(out, findings, []string{"CHECK", "VERDICT", "FINDING", "NEXT"}, func(f finding) []string {
				return []string{f.Check, f.Verdict, f.Text, f.Next}
			})
			if err == nil && bad > 0 {
				return &problem{code: exitError, what: fmt.Sprintf("%d of %d checks found something that must be done", bad, len(findings))}
			}
			return err
		},
	}
}

// finding is the result of one check.
type finding struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"` // ok, note or bad
	Text    string `json:"text"`
	Next    string `json:"next,omitempty"`
}

const (
	verdictOK   = "ok"
	verdictNote = "note"
	verdictBad  = "bad"
)

// examiner collects the results of checks.
type examiner struct {
	a   *app
	cmd *cobra.Command
	cfg *config
	now time.Time
	out []finding
}

// patience is how long a check waits for somebody else.
const patience = 10 * time.Second

func (x *examiner) add(check, verdict, next, format string, args ...any) {
	x.out = append(x.out, finding{check, verdict, fmt.Sprintf(format, args...), next})
}

// examine makes all checks, from what is nearest to what is farthest.
func (a *app) examine(cmd *cobra.Command) []finding {
	x := &examiner{a: a, cmd: cmd, cfg: a.cfg, now: time.Now()}
	v := buildVersion()
	x.add("version", verdictOK, "", "bide %s, %s, %s", v.Version, v.Go, v.Platform)
	x.files()
	x.checkpoints()
	x.flows()
	x.certificate()
	x.proxies()
	x.models()
	x.tools()
	if x.cfg.get("server") != "" {
		x.server()
	} else {
		x.port()
		x.login()
		x.store()
	}
	return x.out
}
