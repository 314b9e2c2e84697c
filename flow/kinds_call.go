package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/tool"
)

// Types of the effects that flows plan. Handle registers handlers for the first five; llm.Models and tool.Set are those of the others.
const (
	TypeHTTP   = "http"
	TypeExec   = "exec"
	TypeScript = "script"
	TypeEmit   = "emit"
	TypeEnv    = "env"
	TypeLLM    = llm.Type
	TypeTool   = tool.TypeCall
)

// AgentWorkflow is the workflow that an agent step starts when it names no other: an agent.Agent with that ID.
const AgentWorkflow = "agent"

func effectType(kind string) string {
	switch kind {
	case "llm":
		return TypeLLM
	case "tool":
		return TypeTool
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

// readEffect reads an effect of a type that handlers of the program or remote workers carry out.
func (p *parser) readEffect(v *value) kind {
	o := p.object(v, "effect", "type", "payload")
	typ, payload := "", o.template("payload")
	if t := o.required("type"); t != nil {
		if typ = t.text; t.kind != '"' {
			p.add(t.place, "the type of an effect is needed here, not %s", t.what())
		} else if err := CheckEffectType(typ); err != nil {
			p.add(t.place, "%v", err)
		}
		p.doc.calls.effects[typ] = true
	}
	return &effect{func(r *reading) (bide.Effect, error) {
		var v any = map[string]any{}
		if payload == nil {
			return bide.Call(typ, v), nil
		}
		v, err := payload.eval(r)
		return bide.Call(typ, v), err
	}}
}

// CheckEffectType fails when effects of a type cannot be those of effect steps: it does not look like one, or
// is planned by other steps or by bide itself.
func CheckEffectType(typ string) error {
	own := strings.HasPrefix(typ, "bide.") || strings.HasPrefix(typ, "agent.")
	switch typ {
	case TypeHTTP, TypeExec, TypeScript, TypeEmit, TypeEnv, TypeLLM, TypeTool,
		bide.TypeAsk, bide.TypeTell, bide.TypeWaitUntil, bide.TypeWaitEvent, bide.TypeJob, bide.TypeQuery, bide.TypeStartRun, bide.TypeFanOut:
		own = true
	}
	switch {
	case own:
		return fmt.Errorf("effects of type %s are bide's own; name another, or use the kind of step that makes them", typ)
	case !typeName.MatchString(typ):
		return fmt.Errorf("%q cannot be the type of an effect: a letter, then letters, digits and . _ -, at most 100", typ)
	}
	return nil
}

func (p *parser) readLLM(v *value) kind {
	o := p.object(v, "llm", "model", "system", "prompt", "messages", "schema", "tools", "tool_choice", "temperature", "max_tokens", "top_p", "stop", "seed", "reasoning", "options")
	if v.kind == '{' && (o.get("prompt") == nil) == (o.get("messages") == nil) {
		p.add(v.place, "llm needs exactly one of prompt and messages")
	}
	if s := o.get("schema"); s != nil {
		p.checkSchema(s)
	}
	if m := o.get("model"); m != nil && isFixed(m.text) {
		p.doc.calls.models[m.text] = true
	}
	payload := p.template(o.v)
	return &effect{func(r *reading) (bide.Effect, error) {
		v, err := payload.eval(r)
		if err != nil {
			return bide.Effect{}, err
		}
		req, err := modelRequest(v)
		return llm.Call(req), err
	}}
}

// modelRequest makes a request of what an llm step says.
func modelRequest(v any) (req llm.Request, err error) {
	members, ok := v.(map[string]any)
	if !ok {
		return req, fmt.Errorf("llm is an object, not %s", describe(v))
	}
	members = maps.Clone(members)
	prompt, prompted := members["prompt"]
	if schema, ok := members["schema"]; ok {
		members["output"] = map[string]any{"schema": schema}
	}
	if list, ok := members["messages"].([]any); ok {
		members["messages"] = messages(list)
	}
	delete(members, "prompt")
	delete(members, "schema")
	raw, err := encode(members)
	if err != nil {
		return req, err
	}
	if err := json.Unmarshal(raw, &req); err != nil {
		return req, fmt.Errorf("llm: %w", err)
	}
	if prompted {
		said, err := text(prompt)
		if err != nil {
			return req, fmt.Errorf("prompt: %w", err)
		}
		req.Messages = []llm.Message{llm.User(said)}
	}
	return req, nil
}

// messages gives those that have a text as content the form of an llm.Message; others have it already.
func messages(list []any) []any {
	out := slices.Clone(list)
	for i, m := range out {
		short, ok := m.(map[string]any)
		if content, is := short["content"]; ok && is {
			out[i] = map[string]any{"role": short["role"], "parts": []any{map[string]any{"type": llm.PartText, "text": content}}}
		}
	}
	return out
}

// several is what a step with more than one effect does; the results are a list.
type several struct {
	plan func(r *reading) ([]bide.Effect, error)
}

func (p *parser) readTool(v *value, s *step) kind {
	if v.kind != '[' {
		one := p.readToolCall(v, s, 0)
		return &effect{one}
	}
	var calls []func(*reading) (bide.Effect, error)
	for i, item := range v.items {
		calls = append(calls, p.readToolCall(item, s, i))
	}
	return &several{func(r *reading) (effects []bide.Effect, err error) {
		effects = make([]bide.Effect, len(calls))
		for i, call := range calls {
			if effects[i], err = call(r); err != nil {
				return nil, err
			}
		}
		return effects, nil
	}}
}

func (p *parser) readToolCall(v *value, s *step, i int) func(*reading) (bide.Effect, error) {
	o := p.object(v, "tool", "name", "args")
	if name := o.required("name"); name != nil && isFixed(name.text) {
		p.doc.calls.tools[name.text] = true
	}
	name, args := o.textTemplate("name"), o.template("args")
	return func(r *reading) (bide.Effect, error) {
		c := tool.Call{ID: fmt.Sprintf("%s-%d-%d", s.node, r.run.Step+1, i)}
		var err error
		if c.Name, err = name.str(r); err != nil || args == nil {
			return c.Effect(), err
		}
		with, err := args.eval(r)
		if err != nil {
			return bide.Effect{}, err
		}
		raw, err := encode(with)
		c.Args = string(raw)
		return c.Effect(), err
	}
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
	members := []string{"task", "model", "system", "tools", "approvals", "limits", "context", "schema", "memory", "ask_user", "listen", "max_tokens", "temperature", "reasoning", "options"}
	o := p.object(v, "agent", append([]string{"workflow"}, members...)...)
	o.required("task")
	if s := o.get("schema"); s != nil {
		p.checkSchema(s)
	}
	if m := o.get("model"); m != nil && isFixed(m.text) {
		p.doc.calls.models[m.text] = true
	}
	if list := o.get("tools"); list != nil && list.kind == '[' {
		for _, name := range list.items {
			if isFixed(name.text) {
				p.doc.calls.tools[name.text] = true
			}
		}
	}
	name := o.textTemplate("workflow")
	if name == nil {
		name = &template{raw: appendString(nil, AgentWorkflow)}
	}
	if s, ok := name.fixed(); ok {
		p.doc.calls.flows[s] = true
	}
	own := o.get("workflow") == nil
	in := &value{place: v.place, kind: '{'}
	for _, m := range v.members {
		if slices.Contains(members, m.name.text) {
			in.members = append(in.members, m)
		}
	}
	input := p.template(in)
	return &effect{func(r *reading) (bide.Effect, error) {
		id, err := name.str(r)
		if err != nil {
			return bide.Effect{}, err
		}
		v, err := input.eval(r)
		if err != nil {
			return bide.Effect{}, err
		}
		task, err := agentInput(v, own)
		if !own {
			return bide.StartRun(id, task, nil), err
		}
		labels := maps.Clone(r.run.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		labels[bide.LabelOf] = r.run.Workflow // grants count for the flow, not for all that have agent steps
		return bide.StartRun(id, task, &bide.ChildOptions{Labels: labels}), err
	}}
}

// agentInput makes the input of an agent of what an agent step says. The general agent has no tools but those that the step names.
func agentInput(v any, general bool) (in agent.Input, err error) {
	members, ok := v.(map[string]any)
	if !ok {
		return in, fmt.Errorf("agent is an object, not %s", describe(v))
	}
	members = maps.Clone(members)
	if schema, ok := members["schema"]; ok {
		members["output"] = map[string]any{"schema": schema}
		delete(members, "schema")
	}
	if _, ok := members["tools"]; !ok && general {
		members["tools"] = []any{}
	}
	raw, err := encode(members)
	if err != nil {
		return in, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return in, fmt.Errorf("agent: %w", err)
	}
	return in, nil
}
