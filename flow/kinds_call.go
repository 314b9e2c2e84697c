package flow

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bide-dev/bide"
)

// Types of the effects that flows plan. Handle registers handlers for the first five; the others belong to
// whoever brings models and tools.
const (
	TypeHTTP   = "http"
	TypeExec   = "exec"
	TypeScript = "script"
	TypeEmit   = "emit"
	TypeEnv    = "env"
	TypeLLM    = "LLM_CALL"
	TypeTools  = "TOOL_CALLS"
)

// AgentWorkflow is the workflow that an agent step starts when it names no other.
const AgentWorkflow = "agent"

func effectType(kind string) string {
	switch kind {
	case "llm":
		return TypeLLM
	case "tool":
		return TypeTools
	}
	return kind
}

// call plans a call with a payload, secrets apart.
func call(typ string, payload *template) *effect {
	return &effect{func(r *reading) (bide.Effect, error) {
		v, err := payload.eval(r)
		if err != nil {
			return bide.Effect{}, err
		}
		v, secrets := hide(v, "")
		if object, ok := v.(map[string]any); ok && secrets != nil {
			object = maps.Clone(object)
			object["secrets"] = secrets
			v = object
		}
		return bide.Call(typ, v), nil
	}}
}

func (p *parser) readHTTP(v *value) kind {
	p.secretsAllowed = true
	defer func() { p.secretsAllowed = false }()
	o := p.object(v, "http", "method", "url", "headers", "query", "json", "form", "body", "accept", "max_bytes")
	o.required("url")
	o.oneOf("method", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
	o.whole("max_bytes", 1, maxHTTPBytes)
	for _, name := range []string{"headers", "query", "form"} {
		if m := o.get(name); m != nil && m.kind != '{' && m.kind != '"' {
			p.add(m.place, "%s is an object of names and texts, not %s", name, m.what())
		}
	}
	if a := o.get("accept"); a != nil && a.kind != '[' {
		p.add(a.place, "accept is a list of statuses such as [404], not %s", a.what())
	}
	bodies := 0
	for _, name := range []string{"json", "form", "body"} {
		if o.get(name) != nil {
			if bodies++; bodies > 1 {
				p.add(o.get(name).place, "a request has one body: json, form or body")
			}
		}
	}
	return call(TypeHTTP, p.template(o.v))
}

func (p *parser) readExec(v *value) kind {
	p.secretsAllowed = true
	defer func() { p.secretsAllowed = false }()
	o := p.object(v, "exec", "command", "stdin", "env", "dir", "accept", "max_bytes")
	if c := o.required("command"); c != nil && c.kind != '[' {
		p.add(c.place, "command is a list of a program and its arguments, not %s", c.what()).Suggestion = "there is no shell: write [git, status], not \"git status\""
	}
	o.whole("max_bytes", 1, maxExecBytes)
	return call(TypeExec, p.template(o.v))
}

func (p *parser) readScript(v *value) kind {
	o := p.object(v, "script", "code", "args")
	if code := o.required("code"); code != nil {
		p.checkScript(code)
	}
	code, args := o.text("code"), o.template("args")
	return &effect{func(r *reading) (bide.Effect, error) {
		payload := map[string]any{"code": code}
		if args != nil {
			v, err := args.eval(r)
			if err != nil {
				return bide.Effect{}, err
			}
			payload["args"] = v
		}
		return bide.Call(TypeScript, payload), nil
	}}
}

func (p *parser) readEmit(v *value) kind {
	if v.kind == '"' {
		v = &value{place: v.place, kind: '{', members: []member{{&value{place: v.place, kind: '"', text: "name"}, v}}}
	}
	o := p.object(v, "emit", "name", "scope", "to", "payload")
	o.required("name")
	scope := o.oneOf("scope", scopes...)
	if to := o.get("to"); to != nil && scope == "global" {
		p.add(to.place, "an event for all is sent to nobody in particular")
	}
	return call(TypeEmit, p.template(o.v))
}

func (p *parser) readLLM(v *value) kind {
	o := p.object(v, "llm", "provider", "model", "system", "prompt", "messages", "schema", "tools", "tool_choice", "temperature", "max_tokens", "top_p", "stop", "seed", "options")
	if v.kind == '{' && (o.get("prompt") == nil) == (o.get("messages") == nil) {
		p.add(v.place, "llm needs exactly one of prompt and messages")
	}
	if s := o.get("schema"); s != nil {
		p.checkSchema(s)
	}
	if m := o.get("model"); m != nil && isFixed(m.text) {
		p.doc.calls.models[m.text] = true
	}
	return call(TypeLLM, p.template(o.v))
}

func (p *parser) readTool(v *value, s *step) kind {
	list := []*value{v}
	if v.kind == '[' {
		list = v.items
	}
	names, args := []*template{}, []*template{}
	for _, item := range list {
		o := p.object(item, "tool", "name", "args")
		name := o.required("name")
		if name != nil && isFixed(name.text) {
			p.doc.calls.tools[name.text] = true
		}
		names, args = append(names, o.textTemplate("name")), append(args, o.template("args"))
	}
	return &effect{func(r *reading) (bide.Effect, error) {
		calls := make([]any, len(names))
		for i := range names {
			name, err := names[i].str(r)
			if err != nil {
				return bide.Effect{}, err
			}
			var with any = map[string]any{}
			if args[i] != nil {
				if with, err = args[i].eval(r); err != nil {
					return bide.Effect{}, err
				}
			}
			calls[i] = map[string]any{"tool_call_id": fmt.Sprintf("%s-%d-%d", s.node, r.run.Step+1, i), "name": name, "args": with}
		}
		return bide.Call(TypeTools, map[string]any{"tool_calls": calls}), nil
	}}
}

// child plans the start of a run of another workflow.
func child(name, input, session *template, opts bide.ChildOptions) *effect {
	return &effect{func(r *reading) (bide.Effect, error) {
		id, err := name.str(r)
		if err != nil {
			return bide.Effect{}, err
		}
		var in any = map[string]any{}
		if input != nil {
			if in, err = input.eval(r); err != nil {
				return bide.Effect{}, err
			}
		}
		opts := opts
		if session != nil {
			if opts.Session, err = session.str(r); err != nil {
				return bide.Effect{}, err
			}
		}
		return bide.StartRun(id, in, &opts), nil
	}}
}

func (p *parser) readFlow(v *value) kind {
	o := p.object(v, "flow", "name", "version", "input", "detached", "session")
	if name := o.required("name"); name != nil && isFixed(name.text) {
		p.doc.calls.flows[name.text] = true
	}
	return child(o.textTemplate("name"), o.template("input"), o.textTemplate("session"),
		bide.ChildOptions{Version: o.text("version"), Detached: o.yes("detached")})
}

func (p *parser) readAgent(v *value) kind {
	members := []string{"task", "provider", "model", "system", "tools", "schema", "max_turns", "options"}
	o := p.object(v, "agent", append([]string{"workflow"}, members...)...)
	o.required("task")
	if s := o.get("schema"); s != nil {
		p.checkSchema(s)
	}
	name := o.textTemplate("workflow")
	if name == nil {
		name = &template{raw: appendString(nil, AgentWorkflow)}
	}
	if s, ok := name.fixed(); ok {
		p.doc.calls.flows[s] = true
	}
	in := &value{place: v.place, kind: '{'}
	for _, m := range v.members {
		if slices.Contains(members, m.name.text) {
			in.members = append(in.members, m)
		}
	}
	return child(name, p.template(in), nil, bide.ChildOptions{})
}
