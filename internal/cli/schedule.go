package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/schedule"
)

func newSchedule(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Start runs by the clock",
		Long:  "Start runs of a flow by a cron expression or an interval. A worker (bide work) does it.",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newScheduleAdd(a), newScheduleLs(a), newScheduleShow(a), newScheduleNext(a),
		newScheduleChange(a, "pause", verbPause, "Keep a schedule from starting runs"),
		newScheduleChange(a, "resume", verbUnpause, "Let a paused schedule go on"),
		newScheduleChange(a, "rm", verbDelete, "Delete a schedule; a run that it waits for is cancelled"))
	return cmd
}

// scheduleTimes are the flags that say when.
type scheduleTimes struct {
	cron, zone    string
	every, jitter time.Duration
}

func (t *scheduleTimes) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.cron, "cron", "", "five fields, such as '0 6 * * 1-5', or a word such as @daily")
	f.StringVar(&t.zone, "zone", "", "where the clock of --cron hangs, such as Europe/Berlin (default: UTC)")
	f.DurationVar(&t.every, "every", 0, "time between two starts, at least 1s")
	f.DurationVar(&t.jitter, "jitter", 0, "longest delay of a start, chosen by name and time")
}

func (t *scheduleTimes) spec(name, flow string) schedule.Spec {
	return schedule.Spec{Name: name, Workflow: flow, Cron: t.cron, TimeZone: t.zone, Interval: bide.Duration(t.every), Jitter: bide.Duration(t.jitter)}
}

func newScheduleAdd(a *app) *cobra.Command {
	var times scheduleTimes
	var command commandFlags
	var input, labels []string
	var session, overlap string
	var timeout time.Duration
	var queue, catchUp int
	cmd := &cobra.Command{
		Use:   "add NAME FLOW",
		Short: "Make a schedule",
		Long: `Make a schedule that starts runs of a flow by the clock. The flow is kept as it is now;
to start a newer version, remove the schedule and add it again. The same again changes nothing.`,
		Example: "  bide schedule add nightly report --cron '30 2 * * *' --zone Europe/Berlin --input kind=full",
		Args:    args(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			spec := times.spec(args[0], args[1])
			spec.Session, spec.Overlap, spec.Queue, spec.CatchUp = session, schedule.Overlap(overlap), queue, catchUp
			spec.RunTimeout = bide.Duration(timeout)
			if spec.Labels, err = pairs("label", labels); err != nil {
				return err
			}
			docs, err := newLibrary(a.cfg).withCalled(args[1])
			if err != nil {
				return err
			}
			if spec.Input, err = readInput("the input", input, docs[len(docs)-1].InputSchema(), a.stdin); err != nil {
				return err
			}
			if spec.Input == nil {
				spec.Input = bide.JSON("{}")
			}
			if err := checkInput(docs[len(docs)-1], spec.Input); err != nil {
				return err
			}
			b, err := a.create(cmd)
			if err != nil {
				return err
			}
			s, err := b.AddSchedule(cmd.Context(), docs, spec, command.command(a))
			if errors.Is(err, bide.ErrKeyReused) {
				return &problem{code: exitConflict, what: fmt.Sprintf("there is a schedule %s already, which starts other runs or at other times", spec.Name),
					why: "remove it and add it again to change it, or choose another name", next: "bide schedule rm " + spec.Name, err: err}
			}
			if err != nil {
				return err
			}
			return out.value(s, func(io.Writer) error {
				a.say("Schedule %s starts %s next at %s. A worker does it: bide work", s.Spec.Name, s.Spec.Workflow, zoned(s.Next))
				return nil
			})
		},
	}
	times.add(cmd)
	f := cmd.Flags()
	f.StringArrayVarP(&input, "input", "i", nil, "input of the runs, as for bide start")
	f.StringArrayVarP(&labels, "label", "l", nil, "label of the runs: NAME=VALUE (again for more)")
	f.StringVar(&session, "session", "", "session of the runs (default: one of the schedule's own)")
	f.DurationVar(&timeout, "timeout", 0, "how long a run may take (default: without end)")
	f.StringVar(&overlap, "overlap", "", "when a time comes while a run is at work: skip, queue, cancel or allow (default: skip)")
	f.IntVar(&queue, "queue", 0, "with --overlap queue: how many times are kept (default: 1)")
	f.IntVar(&catchUp, "catch-up", 0, "how many missed times are made up")
	command.add(cmd)
	return cmd
}

func zoned(t time.Time) string {
	if t.IsZero() {
		return "no time"
	}
	return t.Format("2006-01-02 15:04:05 MST")
}

func newScheduleLs(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List schedules", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			all, err := b.Schedules(cmd.Context())
			if err != nil {
				return err
			}
			if len(all) == 0 {
				a.say("No schedules.")
			}
			return list(out, all, []string{"NAME", "FLOW", "WHEN", "STATUS", "NEXT", "STARTED", "FAILED"}, func(s schedule.Schedule) []string {
				return []string{s.Spec.Name, s.Spec.Workflow, when(&s.Spec), string(s.Status), nextText(&s), fmt.Sprint(s.Counts.Started), fmt.Sprint(s.Counts.Failed)}
			})
		},
	}
}

// when says when a schedule starts runs.
func when(s *schedule.Spec) string {
	if s.Cron == "" {
		return "every " + s.Interval.String()
	}
	if s.TimeZone == "" {
		return s.Cron + " UTC"
	}
	return s.Cron + " " + s.TimeZone
}

func nextText(s *schedule.Schedule) string {
	if s.Status == bide.StatusPaused || s.Next.IsZero() {
		return ""
	}
	return zoned(s.Next)
}

func newScheduleShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a schedule and what became of its last start", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			s, err := b.Schedule(cmd.Context(), args[0])
			if err != nil {
				return elsewhere(err, "bide schedule ls")
			}
			return out.value(s, func(w io.Writer) error {
				lastStart := ""
				if f := s.Last; f != nil {
					lastStart = fmt.Sprintf("%s for %s: %s", f.RunID, zoned(f.Time), f.Status)
				}
				c := s.Counts
				return fields(w, [2]string{"schedule", s.Spec.Name}, [2]string{"flow", s.Spec.Workflow + " version " + s.Spec.Version},
					[2]string{"when", when(&s.Spec)}, [2]string{"input", string(s.Spec.Input)}, [2]string{"status", string(s.Status)}, [2]string{"run", s.RunID},
					[2]string{"next", nextText(s)}, [2]string{"last", lastStart},
					[2]string{"counts", fmt.Sprintf("%d started, %d completed, %d failed, %d cancelled, %d skipped, %d missed",
						c.Started, c.Completed, c.Failed, c.Cancelled, c.Skipped, c.Missed)},
					[2]string{"refused", s.Refused})
			})
		},
	}
}

func newScheduleNext(a *app) *cobra.Command {
	var times scheduleTimes
	var n int
	cmd := &cobra.Command{
		Use:   "next [NAME]",
		Short: "List the next times of a schedule, or of one that you think of",
		Example: `  bide schedule next nightly
  bide schedule next --cron '0 6 * * 1-5' --zone Europe/Berlin`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			spec := times.spec("next", "next")
			if len(args) == 1 {
				if times != (scheduleTimes{}) {
					return usage("bide schedule next --help", "name a schedule or say when, not both")
				}
				b, err := a.open(cmd)
				if err != nil {
					return err
				}
				s, err := b.Schedule(cmd.Context(), args[0])
				if err != nil {
					return elsewhere(err, "bide schedule ls")
				}
				spec = s.Spec
			}
			next, err := spec.Next(time.Now(), n)
			if err != nil {
				return err
			}
			return list(out, next, []string{"TIME"}, func(t time.Time) []string { return []string{zoned(t)} })
		},
	}
	times.add(cmd)
	cmd.Flags().IntVarP(&n, "number", "n", 5, "how many times")
	return cmd
}

func newScheduleChange(a *app, name string, v verb, short string) *cobra.Command {
	var command commandFlags
	cmd := &cobra.Command{
		Use: name + " NAME", Short: short, Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			if err := b.ChangeSchedule(cmd.Context(), args[0], v, command.command(a)); err != nil {
				return elsewhere(err, "bide schedule ls")
			}
			return out.value(map[string]any{"name": args[0], "done": true}, func(io.Writer) error {
				a.say("Done: %s %s.", name, args[0])
				return nil
			})
		},
	}
	command.add(cmd)
	return cmd
}
