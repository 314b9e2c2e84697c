package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bide-dev/bide"
)

// ScriptLimits bound one script. Zero fields have their defaults.
type ScriptLimits struct {
	// Steps of the interpreter. Defaults to 10,000,000.
	Steps uint64
	// Bytes is how large the result may be. Defaults to 8 MiB. What a script holds while it runs is bounded by its steps alone.
	Bytes int
}

func (l ScriptLimits) withDefaults() ScriptLimits {
	if l.Steps == 0 {
		l.Steps = 10_000_000
	}
	if l.Bytes <= 0 {
		l.Bytes = 8 << 20
	}
	return l
}

// scriptFile is what scripts are called in their errors.
const scriptFile = "script"

var dialect = &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true}

// checkScript reports what is wrong with a script before it runs.
func (p *parser) checkScript(v *value) {
	if v.kind != '"' {
		p.add(v.place, "code is a text, not %s", v.what())
		return
	}
	_, _, err := starlark.SourceProgramOptions(dialect, scriptFile, v.text, starlark.StringDict{"args": nil}.Has)
	at := func(pos syntax.Position) place {
		offset, line := 0, int32(1)
		for _, c := range v.text {
			if line == pos.Line {
				break
			}
			if c == '\n' {
				line++
			}
			offset++
		}
		return v.at(offset + int(max(pos.Col, 1)) - 1)
	}
	var bad syntax.Error
	var names interface{ Error() string }
	switch {
	case err == nil:
	case errors.As(err, &bad):
		p.add(at(bad.Pos), "the script cannot be read: %s", bad.Msg)
	case errors.As(err, &names):
		p.add(v.place, "the script cannot be used: %s", names.Error())
	}
}

// script runs a Starlark program. It finds its arguments in args, and its result is what it leaves in result, or
// what its function main returns. It has no clock, no chance and no files.
func (o *Handlers) script(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
	var in struct {
		Code string          `json:"code"`
		Args json.RawMessage `json:"args"`
	}
	if err := json.Unmarshal(call.Payload, &in); err != nil {
		return bide.Outcome{}, bide.Permanent(err)
	}
	result, err := runScript(ctx, in.Code, in.Args, o.Script)
	if err != nil {
		return bide.Outcome{}, &bide.Failure{Code: "script_failed", Permanent: true, Message: err.Error()}
	}
	return bide.Completed(result), nil
}

func runScript(ctx context.Context, code string, rawArgs json.RawMessage, limits ScriptLimits) (json.RawMessage, error) {
	var args any
	if rawArgs != nil {
		var err error
		if args, err = decode(rawArgs); err != nil {
			return nil, err
		}
	}
	in, err := toStarlark(args)
	if err != nil {
		return nil, err
	}
	thread := &starlark.Thread{Name: scriptFile, Print: func(*starlark.Thread, string) {}}
	thread.SetMaxExecutionSteps(limits.Steps)
	stop := context.AfterFunc(ctx, func() { thread.Cancel(context.Cause(ctx).Error()) })
	defer stop()
	globals, err := starlark.ExecFileOptions(dialect, thread, scriptFile, code, starlark.StringDict{"args": in})
	if err != nil {
		return nil, scriptError(err)
	}
	out := globals["result"]
	if main, ok := globals["main"].(*starlark.Function); ok && out == nil {
		if out, err = starlark.Call(thread, main, starlark.Tuple{in}, nil); err != nil {
			return nil, scriptError(err)
		}
	}
	budget := limits.Bytes
	v, err := fromStarlark(out, &budget, 0)
	if err != nil {
		return nil, err
	}
	return encode(v)
}

// scriptError is an error with the place in the script where it arose.
func scriptError(err error) error {
	var e *starlark.EvalError
	if errors.As(err, &e) && len(e.CallStack) > 0 {
		return fmt.Errorf("%s: %s", e.CallStack.At(0).Pos, e.Msg)
	}
	return err
}
