// Package cli is the command line: one file per command, constructors instead of
// globals. It is the place where concrete stores and handlers meet; nothing imports it but cmd.
//
// Commands act through the backend interface alone. Data goes to standard output, words for
// people to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bide-dev/bide"
)

// Main runs one command and returns the exit code of the process. args are
// without the program's name; env is as of os.Environ.
func Main(args, env []string, stdin, stdout, stderr *os.File) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	a := &app{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if cerr := a.close(); err == nil {
		err = cerr
	}
	var silent *ended
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &silent):
		return silent.code
	}
	p := explain(err)
	complain(stderr, p)
	return p.code
}

// ended is the end of a command that has said all there is to say.
type ended struct{ code int }

func (e *ended) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// app is what the commands share: where to read and write, the configuration, and the backend once it is needed.
type app struct {
	env                   []string
	stdin, stdout, stderr *os.File
	configFile            string
	cfg                   *config
	local                 *local
	term                  *terminal
	storeFlag, outputFlag string
	actorFlag, serverFlag string
}

// newRoot makes the command with all others below it.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "bide",
		Short: "Durable workflows: they wait for people, timers and events, and survive crashes",
		Long: `bide runs workflows that survive crashes and can wait for a person, a timer or
an event for as long as it takes.

  bide run FLOW      start a run and follow it here
  bide inbox         what waits for people
  bide ls            what runs there are
  bide why @last     what a run waits for, or why it failed

A RUN is an id, the beginning of one that no other shares, or @last, the newest run.
Data is written to standard output, words to standard error.`,
		SilenceUsage: true, SilenceErrors: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.storeFlag, "store", "", "where runs are kept: sqlite:PATH, postgres://…, file:FOLDER or mem: (default: .bide/bide.db of the project)")
	flags.StringVar(&a.serverFlag, "server", "", "act through a server instead, such as http://127.0.0.1:7878; BIDE_TOKEN holds its token")
	flags.StringVarP(&a.outputFlag, "output", "o", "", "how data is written: table, json, jsonl or yaml (default: table)")
	flags.StringVar(&a.actorFlag, "actor", "", "who acts, as it stands in the ledger (default: the user of the system)")
	flags.StringVar(&a.configFile, "config", "", "configuration file (default: bide.yaml or .bide/config.yaml of the project)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		text := err.Error()
		if num := (*strconv.NumError)(nil); errors.As(err, &num) {
			wanted := "a number that fits"
			if num.Func == "ParseBool" {
				wanted = "true or false"
			}
			text = strings.TrimSuffix(text, num.Error()) + "it is not " + wanted
		}
		return usage(cmd.CommandPath()+" --help", "%s", text)
	})
	root.AddGroup(&cobra.Group{ID: groupRuns, Title: "Runs:"}, &cobra.Group{ID: groupPeople, Title: "People and events:"},
		&cobra.Group{ID: groupLook, Title: "Look closer:"}, &cobra.Group{ID: groupFlows, Title: "Flows and schedules:"},
		&cobra.Group{ID: groupProof, Title: "Prove, move and keep:"}, &cobra.Group{ID: groupSetup, Title: "Set up:"})
	group := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group(groupRuns, newRun(a), newStart(a), newLs(a), newShow(a), newTail(a), newWhy(a),
		newPause(a), newUnpause(a), newCancel(a), newRetry(a), newDelete(a), newShred(a))
	group(groupPeople, newInbox(a), newAnswer(a), newApprove(a), newReject(a), newRespond(a), newGrant(a), newLink(a), newSend(a))
	group(groupLook, newState(a), newReplay(a), newVerify(a), newFork(a), newDiff(a), newMigrate(a), newBookmark(a), newReport(a))
	group(groupProof, newKey(a), newCheckpoint(a), newProof(a), newExport(a), newImport(a), newInspect(a), newCopy(a), newBackup(a), newRestore(a), newCompact(a), newRetention(a), newKeyring(a), newRewrap(a))
	group(groupFlows, newFlow(a), newSchedule(a))
	group(groupSetup, newInit(a), newDev(a), newServe(a), newMCP(a), newToken(a), newWebhook(a), newHook(a), newWork(a), newWorkers(a), newConfig(a), newDoctor(a), newVersion(a))
	root.AddCommand(helpTopics()...)
	root.SetCompletionCommandGroupID(groupSetup)
	root.SetHelpCommandGroupID(groupSetup)
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" { // the library's own answers a shell that it does not know with help
			c.Args, c.RunE = noArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}

// The groups of commands in help.
const (
	groupRuns   = "runs"
	groupPeople = "people"
	groupLook   = "look"
	groupFlows  = "flows"
	groupProof  = "proof"
	groupSetup  = "setup"
)

// noArgs refuses arguments: below a command with others under it, they are misspelt names.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return usage(cmd.CommandPath()+" --help", "%s takes no arguments, but was given %q", cmd.CommandPath(), args)
	}
	p := &problem{code: exitUsage, what: fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+args[0]), next: cmd.CommandPath() + " --help"}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		p.next = cmd.CommandPath() + " " + near[0]
	}
	return p
}

// args asks for a number of arguments: at most none means any number.
func args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage(cmd.CommandPath()+" --help", "%s needs more: %s", cmd.CommandPath(), cmd.UseLine())
		case most >= 0 && len(args) > most:
			return usage(cmd.CommandPath()+" --help", "%s takes no more than %d, but was given %q", cmd.CommandPath(), most, args)
		}
		return nil
	}
}

// many is the number of arguments without a bound.
const many = -1

// config reads the configuration once. cmd's flags are settings too.
func (a *app) config(cmd *cobra.Command) (*config, error) {
	if a.cfg != nil {
		return a.cfg, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	p, err := findProject(dir)
	if err != nil {
		return nil, err
	}
	if a.configFile != "" {
		p.file = a.configFile
	}
	set := map[string]string{}
	for _, s := range settings() {
		if f := cmd.Flags().Lookup(s.flag); s.flag != "" && f != nil && f.Changed {
			set[s.flag] = f.Value.String()
		}
	}
	a.cfg, err = loadConfig(p, a.env, set)
	return a.cfg, err
}

// output returns where data goes.
func (a *app) output(cmd *cobra.Command) (*output, error) {
	cfg, err := a.config(cmd)
	if err != nil {
		return nil, err
	}
	return &output{w: a.stdout, format: cfg.get("output"), styled: a.styled(a.stdout)}, nil
}

// say writes words for a person.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.stderr, format+"\n", args...)
}

// getenv is a variable of the environment, or empty.
func (a *app) getenv(name string) (value string) {
	for _, pair := range a.env {
		if rest, ok := strings.CutPrefix(pair, name+"="); ok {
			value = rest
		}
	}
	return value
}

// styled reports whether colours may be written to f (https://no-color.org).
func (a *app) styled(f *os.File) bool {
	return isTerminal(f) && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}

// person reports whether somebody sits at the terminal, to be asked.
func (a *app) person() bool { return isTerminal(a.stdin) && isTerminal(a.stderr) }

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// terminal is where a person is asked.
func (a *app) terminal() *terminal {
	if a.term == nil {
		a.term = newTerminal(a.stdin, a.stderr, a.styled(a.stderr))
	}
	return a.term
}

// confirm asks before something is done that cannot be taken back, or is done to many.
func (a *app) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.person() {
		return usage("", "%s There is no terminal to ask at; give --yes if that is meant", question)
	}
	reply, err := a.terminal().ask(ctx, question+" [y/N] ")
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if r := strings.ToLower(strings.TrimSpace(reply)); r != "y" && r != "yes" {
		return &problem{code: exitError, what: "not done, as nobody said yes"}
	}
	return nil
}

// close ends what the command opened.
func (a *app) close() error {
	if a.local == nil {
		return nil
	}
	ctx, stop := context.WithTimeout(context.Background(), 15*time.Second)
	defer stop()
	err := a.local.Close(ctx)
	if a.local.engine == nil && errors.Is(err, bide.ErrStoreFull) { // what was to be done is done, and in the journal
		a.say("bide: %s", visible(explain(err).Error()))
		return nil
	}
	return err
}
