package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newFork(a *app) *cobra.Command {
	var o bide.ForkOptions
	var at int64
	var preview bool
	var set []string
	cmd := &cobra.Command{
		Use:   "fork RUN --at SEQ",
		Short: "Begin a new run at any record of another one",
		Long: `Begin a new run that goes on from a record of another one, with changed variables if
wanted. What had ended by then stays, the rest happens again: --preview lists which effects that are, and which of them are not
safe to repeat, and begins nothing.`,
		Example: "  bide fork @last --at 5 --preview\n  bide fork @last --at 5 --set decision.choice='\"no\"'",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if at < 1 {
				return usage("bide show RUN", "--at names the record to begin after; records are numbered from 1")
			}
			for _, pair := range set {
				path, value, ok := strings.Cut(pair, "=")
				if !ok {
					return usage("bide fork --help", "--set %q is not PATH=VALUE", pair)
				}
				o.Writes = append(o.Writes, bide.Write{Op: bide.OpSet, Path: path, Value: jsonOrText(value)})
			}
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			id, err := resolve(ctx, b, args[0])
			if err != nil {
				return err
			}
			if preview {
				again, err := b.ForkPreview(ctx, id, at)
				if err != nil {
					return elsewhere(err, "bide tail "+id)
				}
				return list(out, again, []string{"STEP", "NODE", "EFFECT", "CERTAIN", "SAFE"}, func(e bide.ForkEffect) []string {
					return []string{itoa(e.Step), e.Node, e.Type, yesNo(e.Certain), yesNo(!e.Unsafe)}
				})
			}
			o.Actor = a.cfg.get("actor")
			run, err := b.Fork(ctx, id, at, &o)
			if err != nil {
				return elsewhere(err, "bide tail "+id)
			}
			a.say("Run %s goes on from record %d of run %s.", run.ID, at, id)
			return out.value(run.RunInfo, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, run.ID)
				return err
			})
		},
		ValidArgsFunction: a.completeRun,
	}
	f := cmd.Flags()
	f.Int64Var(&at, "at", 0, "number of the record after which to begin")
	f.StringArrayVar(&set, "set", nil, "change a variable: PATH=VALUE, where VALUE is JSON or a text; may be given more than once")
	f.BoolVar(&preview, "preview", false, "list what would happen again, and begin nothing")
	f.StringVar(&o.RunID, "run-id", "", "id of the new run (default: a fresh one)")
	f.StringVar(&o.Reason, "reason", "", "why; it stands in the ledger")
	f.StringVar(&o.ID, "command-id", "", "id of the command: sent twice, it is done once")
	return cmd
}

// jsonOrText is a value as JSON, or the text itself as a string.
func jsonOrText(s string) bide.JSON {
	if json.Valid([]byte(s)) {
		return bide.JSON(s)
	}
	raw, err := plainJSON(s)
	if err != nil {
		return bide.JSON("null")
	}
	return raw
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
