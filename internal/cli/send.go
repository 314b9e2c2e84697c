package cli

import (
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newSend(a *app) *cobra.Command {
	var run, session, flow, id string
	var global bool
	cmd := &cobra.Command{
		Use:   "send EVENT [VALUE | NAME=VALUE…]",
		Short: "Send an event to a run, a session, a flow's runs, or all",
		Long: `Send an event. One for a run or a session is kept until a wait takes it; one for a
flow or for all reaches the waits that are open now. The payload is a JSON value, NAME=VALUE for
each member, @FILE, or - to read it; null by default.`,
		Example: `  bide send paid --run @last amount=120
  bide send deploy.done --global '{"sha": "c0ffee"}' --id deploy-811`,
		Args: args(1, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			scopes := btoi(run != "") + btoi(session != "") + btoi(flow != "") + btoi(global)
			if scopes != 1 {
				return usage("bide send --help", "say whom the event is for: one of --run, --session, --flow and --global")
			}
			payload, err := readPayload(args[1:], a.stdin)
			if err != nil {
				return err
			}
			b, err := a.open(cmd)
			if err != nil {
				return err
			}
			if id == "" {
				id = uuid.Must(uuid.NewV7()).String()
			}
			e := bide.Event{ID: id, Name: args[0], Payload: payload, Scope: bide.ScopeGlobal}
			switch {
			case run != "":
				e.Scope = bide.ScopeRun
				if e.ScopeID, err = resolve(cmd.Context(), b, run); err != nil {
					return err
				}
			case session != "":
				e.Scope, e.ScopeID = bide.ScopeSession, session
			case flow != "":
				e.Scope, e.ScopeID = bide.ScopeWorkflow, flow
			}
			if err := b.Send(cmd.Context(), e); err != nil {
				return err
			}
			return out.value(sent{e.ID, bide.EventKey(e.Scope, e.ScopeID, e.Name)}, func(io.Writer) error {
				a.say("Sent %s, id %s.", e.Name, e.ID)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&run, "run", "", "RUN that it is for")
	f.StringVar(&session, "session", "", "session that it is for")
	f.StringVar(&flow, "flow", "", "flow whose waiting runs it is for")
	f.BoolVar(&global, "global", false, "for all that wait for it")
	f.StringVar(&id, "id", "", "id of the event: sent twice, it is delivered once")
	return cmd
}

// sent is an event that was sent.
type sent struct {
	ID  string `json:"event_id"`
	Key string `json:"key"`
}

// readPayload reads the payload of an event: nil when there is none.
func readPayload(values []string, stdin io.Reader) (bide.JSON, error) {
	if len(values) == 1 && !strings.Contains(values[0], "=") && !strings.ContainsAny(values[0][:min(len(values[0]), 1)], "@{[") && values[0] != "-" {
		return parseField(&schema{}, values[0])
	}
	return readInput("the payload", values, nil, stdin)
}
