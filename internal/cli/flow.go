package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/flow/flowtest"
)

func newFlow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "flow",
		Short: "Work on the documents of flows: lint, fmt, test, graph, bundle, schema",
		Long:  "Work on the documents of flows. FLOW is a file, or the name of a flow of the project.",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newFlowLint(a), newFlowFmt(a), newFlowTest(a), newFlowGraph(a), newFlowBundle(a), newFlowSchema(a))
	return cmd
}

// flowsOf are the flows that are named, or all of the project.
func (a *app) flowsOf(cmd *cobra.Command, args []string) (*library, []string, error) {
	cfg, err := a.config(cmd)
	if err != nil {
		return nil, nil, err
	}
	lib := newLibrary(cfg)
	if len(args) > 0 {
		return lib, args, nil
	}
	names := lib.names()
	if len(names) == 0 {
		return nil, nil, &problem{code: exitNotFound, what: "the project has no flows", why: "looked in " + strings.Join(cfg.list("flows"), ", "), next: "bide init"}
	}
	return lib, names, nil
}

// lintFinding is a fault of a document, or something that is allowed and hardly meant.
type lintFinding struct {
	Severity string `json:"severity"` // error or warning
	flow.Fault
}

func newFlowLint(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "lint [FLOW…]",
		Short: "Say what is wrong with flows, by default with all of the project",
		Long: `Say what is wrong with flows, by default with all of the project: every fault with its
file, line and column. Warnings are what is allowed and hardly meant. The exit code is 1 when there is an error.`,
		Args: args(0, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			lib, names, err := a.flowsOf(cmd, args)
			if err != nil {
				return err
			}
			var found []lintFinding
			bad := 0
			for _, name := range names {
				d, err := lib.read(name)
				var faults *flow.Error
				switch {
				case errors.As(err, &faults):
					for _, f := range faults.Faults {
						found = append(found, lintFinding{"error", f})
					}
					bad++
				case err != nil:
					return err
				default:
					for _, f := range d.Lint() {
						found = append(found, lintFinding{"warning", f})
					}
				}
			}
			err = list(out, found, []string{"WHERE", "SEVERITY", "WHAT", "TRY"}, func(f lintFinding) []string {
				return []string{fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column), f.Severity, f.Message, f.Suggestion}
			})
			if err == nil && bad > 0 {
				return &problem{code: exitError, what: fmt.Sprintf("%d of %s cannot be used", bad, plural(len(names), "flow"))}
			}
			a.say("%s checked, %s.", plural(len(names), "flow"), plural(len(found), "warning"))
			return err
		},
		ValidArgsFunction: a.completeFlow,
	}
}

func newFlowFmt(a *app) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt [FLOW…]",
		Short: "Write flows in the one form, by default all of the project",
		Long: `Write flows in the one form, by default all of the project, and name the files that
were changed. Comments stay. With - as FLOW, standard input is written to standard output.`,
		Args: args(0, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "-" {
				src, err := io.ReadAll(a.stdin)
				if err != nil {
					return err
				}
				formatted, err := flow.Format("standard input", src)
				if err != nil {
					return faulty("standard input", err)
				}
				_, err = a.stdout.Write(formatted)
				return err
			}
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			lib, names, err := a.flowsOf(cmd, args)
			if err != nil {
				return err
			}
			var changed []string
			for _, name := range names {
				path, differs, err := lib.format(name, !check)
				if err != nil {
					return err
				}
				if differs {
					changed = append(changed, path)
				}
			}
			err = list(out, changed, []string{"FILE"}, func(path string) []string { return []string{path} })
			if err == nil && check && len(changed) > 0 {
				return &problem{code: exitError, what: plural(len(changed), "file") + " not in the one form", next: "bide flow fmt"}
			}
			return err
		},
		ValidArgsFunction: a.completeFlow,
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; the exit code is 1 when something would be changed")
	return cmd
}

// format brings the file of a flow into the one form; it reports whether it was not.
func (l *library) format(name string, write bool) (path string, differs bool, err error) {
	if path = l.path(name); path == "" {
		return "", false, l.missing(name)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return path, false, err
	}
	formatted, err := flow.Format(path, src)
	if err != nil {
		return path, false, faulty(path, err)
	}
	if bytes.Equal(src, formatted) {
		return path, false, nil
	}
	if write {
		err = replaceFile(path, formatted)
	}
	return path, true, err
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".bide-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// verdict is what came of one case.
type verdict struct {
	Flow   string   `json:"flow"`
	Case   string   `json:"case"`
	File   string   `json:"file"`
	Line   int      `json:"line"`
	OK     bool     `json:"ok"`
	Faults []string `json:"faults,omitempty"`
}

func newFlowTest(a *app) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "test [FLOW…]",
		Short: "Run the cases of flows, by default of all of the project",
		Long: `Run the cases of flows, by default of all of the project. Those of refund.yaml are in
refund.test.yaml beside it. Nothing leaves the process: effects and answers are those of the case, and the
clock moves when nothing else can happen. The exit code is 5 when a case does not hold.

With --from, write a file with a case that does what a recorded run did: what its effects gave, the answers and events
that it got, and when. The case is run before, and what it comes to otherwise is an error.`,
		Example: "  bide flow test --from @last > flows/refund.test.yaml",
		Args:    args(0, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			if from != "" {
				return a.caseFrom(cmd, args, from)
			}
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			lib, names, err := a.flowsOf(cmd, args)
			if err != nil {
				return err
			}
			var verdicts []verdict
			for _, name := range names {
				more, err := lib.test(cmd, name)
				if errors.Is(err, fs.ErrNotExist) && len(args) == 0 {
					a.say("%s has no cases.", name)
					continue
				}
				if err != nil {
					return err
				}
				verdicts = append(verdicts, more...)
			}
			bad := 0
			err = list(out, verdicts, []string{"FLOW", "CASE", "VERDICT", "FAULTS"}, func(v verdict) []string {
				return []string{v.Flow, v.Case, map[bool]string{true: "ok", false: "fails"}[v.OK], strings.Join(v.Faults, "; ")}
			})
			for _, v := range verdicts {
				bad += btoi(!v.OK)
			}
			if err == nil && bad > 0 {
				return &problem{code: exitRunFailed, what: fmt.Sprintf("%d of %s do not hold", bad, plural(len(verdicts), "case"))}
			}
			a.say("%s, all hold.", plural(len(verdicts), "case"))
			return err
		},
		ValidArgsFunction: a.completeFlow,
	}
	cmd.Flags().StringVar(&from, "from", "", "a RUN that becomes a case, written to standard output")
	return cmd
}

// caseFrom writes the case of a recorded run.
func (a *app) caseFrom(cmd *cobra.Command, args []string, ref string) error {
	if len(args) > 0 {
		return usage(cmd.CommandPath()+" --help", "--from takes the flow from the run")
	}
	file, faults, err := a.recordedCase(cmd, ref)
	if err != nil {
		return err
	}
	if _, err := a.stdout.Write(file); err != nil || len(faults) == 0 {
		return err
	}
	return &problem{code: exitRunFailed, what: "the case does not come to what the run did; correct it by hand", why: strings.Join(faults, "\n")}
}

// recordedCase makes the case of a run, of the server or the store.
func (a *app) recordedCase(cmd *cobra.Command, ref string) (file []byte, faults []string, err error) {
	ctx := cmd.Context()
	r, _, id, err := a.served(cmd, ref)
	if err != nil {
		return nil, nil, err
	}
	if r != nil {
		made, err := r.c.Case(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		return []byte(made.Case), made.Faults, nil
	}
	_, l, err := a.evidence(cmd)
	if err != nil {
		return nil, nil, err
	}
	if id, err = resolve(ctx, l, ref); err != nil {
		return nil, nil, err
	}
	run, err := l.rt.Get(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	return l.caseOf(ctx, run)
}

// caseOf makes a recorded run a case of its flow.
func (l *local) caseOf(ctx context.Context, run *bide.Run) (file []byte, faults []string, err error) {
	doc, err := flow.ForRun(ctx, l.rt, &run.RunInfo)
	if err != nil {
		return nil, nil, err
	}
	return flowtest.FromRun(ctx, l.rt, doc, run.ID)
}

// test runs the cases of a flow.
func (l *library) test(cmd *cobra.Command, name string) ([]verdict, error) {
	d, err := l.read(name)
	if err != nil {
		return nil, err
	}
	path := l.path(name)
	file := strings.TrimSuffix(path, filepath.Ext(path)) + casesMark + filepath.Ext(path)
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, &problem{code: exitNotFound, what: fmt.Sprintf("the flow %s has no cases", path), why: "they would be in " + file, err: err}
	}
	cases, err := flow.ParseCases(file, src)
	if err != nil {
		return nil, faulty(file, err)
	}
	results, err := flowtest.Run(cmd.Context(), d, cases)
	if err != nil {
		return nil, err
	}
	verdicts := make([]verdict, len(results))
	for i, r := range results {
		verdicts[i] = verdict{d.ID(), r.Case.Name, file, r.Case.Line, len(r.Faults) == 0, r.Faults}
	}
	return verdicts, nil
}

func newFlowGraph(a *app) *cobra.Command {
	form := "picture"
	cmd := &cobra.Command{
		Use:   "graph FLOW",
		Short: "Draw a flow: in the terminal, or as Mermaid or DOT",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("picture", "mermaid", "dot")(form); err != nil {
				return usage("", "--as: %v", err)
			}
			lib, names, err := a.flowsOf(cmd, args)
			if err != nil {
				return err
			}
			d, err := lib.read(names[0])
			if err != nil {
				return err
			}
			text := map[string]func() string{"picture": d.Picture, "mermaid": d.Mermaid, "dot": d.DOT}[form]()
			_, err = fmt.Fprintln(a.stdout, strings.TrimRight(text, "\n"))
			return err
		},
		ValidArgsFunction: a.completeFlow,
	}
	cmd.Flags().StringVar(&form, "as", form, "picture, mermaid or dot")
	return cmd
}

func newFlowSchema(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Write the JSON Schema of flows, for editors",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.stdout.Write(flow.Schema())
			return err
		},
	}
}
