package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/bide-dev/bide/ledger"
	"github.com/spf13/cobra"
)

func newDoctor(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check the configuration, the store and the flows",
		Long: `Check the configuration, the store and the flows of the project, and say what to do about what is
found. The exit code is 1 when something must be done. Nothing is changed, and a store that is not there is not made.`,
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

func (a *app) examine(cmd *cobra.Command) (out []finding) {
	add := func(check, verdict, next, format string, args ...any) {
		out = append(out, finding{check, verdict, fmt.Sprintf(format, args...), next})
	}
	v := buildVersion()
	add("version", verdictOK, "", "bide %s, %s, %s", v.Version, v.Go, v.Platform)
	file := a.cfg.project.file
	if file == "" {
		file = "defaults only"
	}
	add("configuration", verdictOK, "", "%s; project %s", file, a.cfg.project.root)
	if len(a.cfg.strange) > 0 {
		add("environment", verdictNote, "bide help config", "no settings, and passed over: %s", strings.Join(a.cfg.strange, ", "))
	}
	switch c, err := checkpoints(a.cfg); {
	case err != nil:
		p := explain(err)
		add("checkpoints", verdictBad, p.next, "%s", p.Error())
	case c == nil:
		add("checkpoints", verdictNote, "bide key NAME --private FILE, and checkpoint.key", "nobody signs the ledgers: who can write to the store can rewrite them")
	default:
		add("checkpoints", verdictOK, "", "signed by %s, every %s and at the end of runs", ledger.KeyName(c.Signers[0]), c.Every)
	}
	lib := newLibrary(a.cfg)
	for _, name := range lib.names() {
		if err := lib.check(name); err != nil {
			add("flow "+name, verdictBad, "bide flow lint "+name, "%s", explain(err).Error())
		} else {
			add("flow "+name, verdictOK, "", "%s", lib.path(name))
		}
	}
	if server := a.cfg.get("server"); server != "" {
		b, err := a.open(cmd)
		if err != nil {
			add("server", verdictBad, "", "%s", explain(err).Error())
			return out
		}
		return append(out, examineStore(cmd.Context(), b, server)...)
	}
	if path, ok := strings.CutPrefix(a.cfg.get("store"), "sqlite:"); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			add("store", verdictNote, "bide run FLOW", "%s is not there yet; the first run makes it", a.cfg.get("store"))
			return out
		}
	}
	b, err := a.open(cmd)
	if err != nil {
		add("store", verdictBad, "", "%s", explain(err).Error())
		return out
	}
	out = append(out, examineStore(cmd.Context(), b, shownStore(a.cfg.get("store")))...)
	return append(out, a.examineEncryption(cmd.Context(), a.local)...)
}

// examineStore looks for runs that nobody sees to.
func examineStore(ctx context.Context, b reader, name string) (out []finding) {
	add := func(check, verdict, next, format string, args ...any) {
		out = append(out, finding{check, verdict, fmt.Sprintf(format, args...), next})
	}
	now := time.Now()
	for _, look := range []struct{ search, check, fine, next, bad string }{
		{"", "store", name + " opens", "", ""},
		{"is:set-aside", "set aside", "no run is set aside", "bide ls --internal is:set-aside", "runs are set aside by workers"},
		{"status:running", "running", "no run is left alone", "bide work", "runs could go on and do not: no worker with their flow seems to be at work"},
		{"status:waiting is:due", "due", "no timer is overdue", "bide work", "runs have a timer overdue: no worker with their flow seems to be at work"},
	} {
		page, err := b.Runs(ctx, runsQuery{Search: look.search, Internal: true, Limit: 1000})
		if err != nil {
			add(look.check, verdictBad, "", "%s", explain(err).Error())
			return out
		}
		n := 0
		for _, r := range page.Runs {
			since := r.UpdatedAt
			if look.check == "due" {
				since = r.WakeAt
			}
			n += btoi(look.bad != "" && (look.check == "set aside" || r.SetAside == "" && now.Sub(since) > late))
		}
		if n == 0 {
			add(look.check, verdictOK, "", "%s", look.fine)
		} else {
			add(look.check, verdictBad, look.next, "%d %s", n, look.bad)
		}
	}
	return out
}
