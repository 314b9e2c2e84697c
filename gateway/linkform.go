package gateway

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// linkForm is one way to answer a wait.
type linkForm struct {
	Do     string // what the answer is, by the kind of the wait
	Label  string // of the button
	Intro  string
	Value  string // of a choice
	Pin    string // of the arguments that are shown
	Danger bool
	Fields []linkField
}

// linkField is a field of a form. It is one of a line, a number, a check, a choice, a text, or JSON.
type linkField struct {
	Name, Label, About string
	Kind               string
	Value              string
	Choices            []string
	Required           bool
}

// linkForms are the ways to answer an open wait, filled with what was given before.
func linkForms(w *bide.Wait, given url.Values) []linkForm {
	field := func(name, kind, label, value string) linkField {
		if was, ok := given["f."+name]; ok {
			value = was[0]
		}
		return linkField{Name: name, Label: label, Kind: kind, Value: value}
	}
	switch w.Kind {
	case bide.WaitQuestion:
		var forms []linkForm
		for _, c := range w.Choices {
			forms = append(forms, linkForm{Do: "choose", Label: c, Value: c})
		}
		if w.FreeText || len(w.Choices) == 0 {
			forms = append(forms, linkForm{Do: "say", Label: "Answer", Fields: []linkField{field("text", "text", "In your words", "")}})
		}
		return forms
	case bide.WaitForm:
		if fields := schemaFields(w.Schema, given); fields != nil {
			return []linkForm{{Do: "fill", Label: "Answer", Fields: fields}}
		}
		return []linkForm{{Do: "json", Label: "Answer", Fields: []linkField{field("json", "json", "Answer, as JSON", "")}}}
	case bide.WaitToolApproval:
		return approvalForms(w, field)
	case bide.WaitBudget:
		return []linkForm{
			{Do: "raise", Label: "Raise", Intro: "Raised, the run goes on where it stopped.", Fields: []linkField{field("json", "json", "New limits, as JSON", "{}")}},
			{Do: "stop", Label: "Stop", Intro: "Stopped, the workflow decides how to end.", Danger: true}}
	case bide.WaitAttention:
		return []linkForm{
			{Do: "done", Label: "It happened", Fields: []linkField{field("json", "json", "Its result, as JSON", "")}},
			{Do: "again", Label: "Do it again", Intro: "It did not happen. If it did, it may happen twice."},
			{Do: "fail", Label: "Give it up", Danger: true, Fields: []linkField{field("text", "text", "Why", "")}}}
	case bide.WaitJob:
		return []linkForm{
			{Do: "result", Label: "Done", Fields: []linkField{field("json", "json", "Its result, as JSON", "")}},
			{Do: "error", Label: "It failed", Danger: true, Fields: []linkField{field("text", "text", "Why", "")}}}
	}
	return []linkForm{{Do: "json", Label: "Answer", Fields: []linkField{field("json", "json", "Answer, as JSON", "")}}}
}

func approvalForms(w *bide.Wait, field func(name, kind, label, value string) linkField) (forms []linkForm) {
	if len(w.Items) != 1 {
		return nil
	}
	item := w.Items[0]
	for _, f := range []linkForm{
		{Do: string(bide.VerbApprove), Label: "Approve"},
		{Do: string(bide.VerbReject), Label: "Reject", Danger: true, Fields: []linkField{field("text", "text", "Why not; the model is told", "")}},
		{Do: string(bide.VerbEdit), Label: "Approve with other arguments", Fields: []linkField{field("json", "json", "Arguments, as JSON", string(item.Args))}},
		{Do: string(bide.VerbRespond), Label: "Respond", Fields: []linkField{field("text", "text", "What the model gets instead of a call", "")}},
	} {
		if slices.Contains(item.Allowed, bide.Verb(f.Do)) {
			f.Pin = item.ArgsSHA256
			forms = append(forms, f)
		}
	}
	return forms
}

// property is what a field is made of.
type property struct {
	Type        json.RawMessage `json:"type"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Enum        []bide.JSON     `json:"enum"`
	Default     bide.JSON       `json:"default"`
	MaxLength   int             `json:"maxLength"`
}

// schemaFields are those of an object's members, in their order; nil when the schema is of something else.
func schemaFields(schema bide.JSON, given url.Values) (fields []linkField) {
	names, members, required := objectSchema(schema)
	for _, name := range names {
		p := members[name]
		f := linkField{Name: name, Label: name, About: p.Description, Kind: p.kind(), Required: slices.Contains(required, name), Value: fieldText(p.Default)}
		if p.Title != "" {
			f.Label = p.Title
		}
		for _, choice := range p.Enum {
			f.Choices = append(f.Choices, fieldText(choice))
		}
		if given != nil {
			f.Value = given.Get("f." + name)
		}
		fields = append(fields, f)
	}
	return fields
}

// objectSchema reads the members of an object's schema, with their order.
func objectSchema(schema bide.JSON) (names []string, members map[string]property, required []string) {
	var s struct {
		Properties json.RawMessage `json:"properties"`
		Required   []string        `json:"required"`
	}
	if json.Unmarshal(schema, &s) != nil || json.Unmarshal(s.Properties, &members) != nil {
		return nil, nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(s.Properties))
	for depth := 0; ; {
		tok, err := dec.Token()
		if err != nil {
			return names, members, s.Required
		}
		switch t := tok.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
		case string:
			if depth == 1 {
				names = append(names, t)
				var skip json.RawMessage
				if dec.Decode(&skip) != nil {
					return names, members, s.Required
				}
			}
		}
	}
}

func (p *property) kind() string {
	var typ string
	_ = json.Unmarshal(p.Type, &typ) // a list of types is JSON to write
	switch {
	case len(p.Enum) > 0:
		return "choice"
	case typ == "string" && p.MaxLength > 200:
		return "text"
	case typ == "string":
		return "line"
	case typ == "number", typ == "integer":
		return "number"
	case typ == "boolean":
		return "check"
	}
	return "json"
}

// fieldText is a value as it stands in a field: a string without quotes.
func fieldText(raw bide.JSON) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// linkAnswer makes the answer of a form that was sent.
func linkAnswer(w *bide.Wait, given url.Values) (bide.JSON, error) {
	text, do := strings.ReplaceAll(given.Get("f.text"), "\r\n", "\n"), given.Get("do")
	refuse := func(path, why string) (bide.JSON, error) {
		return nil, &bide.Error{Code: bide.CodeInvalidAnswer, Wait: w.ID, Message: "the answer cannot be taken", Faults: []bide.Fault{{Path: path, Message: why}}}
	}
	written := func() (bide.JSON, bool) {
		raw := bide.JSON(strings.TrimSpace(given.Get("f.json")))
		if len(raw) == 0 {
			return bide.JSON("null"), true
		}
		return raw, json.Valid(raw)
	}
	value, isJSON := written()
	if !isJSON {
		return refuse("", "is not JSON")
	}
	switch do {
	case "choose":
		return asWritten(given.Get("value"))
	case "say":
		return asWritten(text)
	case "json":
		return value, nil
	case "fill":
		return filledIn(w, given, refuse)
	case string(bide.VerbApprove), string(bide.VerbEdit), string(bide.VerbReject), string(bide.VerbRespond):
		if len(w.Items) != 1 {
			return refuse("", "the wait is not about a call")
		}
		d := map[string]any{"tool_call_id": w.Items[0].ToolCallID, "args_sha256": given.Get("pin"), "type": do}
		if do == string(bide.VerbEdit) {
			d["args"] = value
		} else if text != "" {
			d["message"] = text
		}
		return asWritten(map[string]any{"decisions": []any{d}})
	case "raise":
		return asWritten(map[string]any{"type": do, "limits": value})
	case "stop", bide.AttentionAgain:
		return asWritten(map[string]any{"type": do})
	case bide.AttentionDone:
		return asWritten(bide.Attention{Type: do, Result: value})
	case bide.AttentionFail:
		return asWritten(bide.Attention{Type: do, Message: text})
	case "result":
		return asWritten(bide.JobResult{Result: value})
	case "error":
		return asWritten(bide.JobResult{Error: text})
	}
	return refuse("", "choose one of the buttons")
}

// filledIn makes the object of a form's fields. What is empty is left out.
func filledIn(w *bide.Wait, given url.Values, refuse func(path, why string) (bide.JSON, error)) (bide.JSON, error) {
	names, members, _ := objectSchema(w.Schema)
	out := map[string]bide.JSON{}
	for _, name := range names {
		p, text := members[name], strings.ReplaceAll(given.Get("f."+name), "\r\n", "\n")
		switch kind := p.kind(); {
		case kind == "check":
			out[name] = bide.JSON("false")
			if text == "true" {
				out[name] = bide.JSON("true")
			}
		case text == "":
		case kind == "line" || kind == "text":
			raw, err := asWritten(text)
			if err != nil {
				return nil, err
			}
			out[name] = raw
		case kind == "choice":
			at := slices.IndexFunc(p.Enum, func(raw bide.JSON) bool { return fieldText(raw) == text })
			if at < 0 {
				return refuse("/"+name, "is none of the choices")
			}
			out[name] = p.Enum[at]
		case !json.Valid([]byte(text)):
			return refuse("/"+name, "is not a "+map[string]string{"number": "number", "json": "JSON value"}[kind])
		default:
			out[name] = bide.JSON(strings.TrimSpace(text))
		}
	}
	return asWritten(out)
}

// asWritten is a value as JSON, its text as people wrote it.
func asWritten(v any) (bide.JSON, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(out.Bytes()), err
}
