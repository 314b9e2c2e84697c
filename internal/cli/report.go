package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/trace"
)

func newReport(a *app) *cobra.Command {
	var html bool
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Tell what happened in a run, and who decided what",
		Long: `Tell what happened in a run, as Markdown or as one page of HTML: every record as a
sentence, and first who decided what, with which arguments. Each line names its record and the record's hash.`,
		Example: "  bide report @last --html > run.html",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			id, err := resolve(ctx, b, args[0])
			if err != nil {
				return err
			}
			rep, err := trace.Tell(b.Records(ctx, id, 1, false))
			if err != nil {
				return err
			}
			if l, here := b.(*local); here && l.store != nil { // a server does not tell what was signed
				e, _, err := ledger.ReadLog(ctx, l.store, nil)
				if err != nil {
					return err
				}
				if leaves := e.Of(id); len(leaves) > 0 {
					last := leaves[len(leaves)-1]
					rep.Signed = fmt.Sprintf("up to record %d, as leaf %d of the log %s (verify tells whether that holds)", last.Seq, last.Index, e.Newest.Origin)
				}
			}
			return out.value(rep, func(w io.Writer) error {
				if html {
					return rep.HTML(w)
				}
				return rep.Markdown(w)
			})
		},
		ValidArgsFunction: a.completeRun,
	}
	cmd.Flags().BoolVar(&html, "html", false, "as a page of HTML (default: Markdown)")
	return cmd
}
