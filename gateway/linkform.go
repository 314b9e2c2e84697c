package gateway

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
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

// linkField is a field of a form. It is one of a line, a number, a check, a choice, a text, or JSON; or a group or a list of fields.
type linkField struct {
	Name, Label, About string
	Kind               string
	Value              string
	Choices            []string
	Required           bool
	Fields             []linkField // of a group, or the rows of a list
}

// The kinds of fields that have others in them.
const (
	kindGroup = "group"
	kindList  = "list"
)

// Bounds of a form: what is deeper is JSON to write, and a list takes no more rows.
const (
	maxFormDepth = 4
	maxFormRows  = 100
)

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
	MinItems    int             `json:"minItems"`
	Items       *property       `json:"items"`

	raw bide.JSON
}

// UnmarshalJSON keeps the schema, for its members.
func (p *property) UnmarshalJSON(raw []byte) error {
	type plain property
	if len(raw) > 0 && raw[0] != '{' {
		return nil // true and false are schemas as well
	}
	if err := json.Unmarshal(raw, (*plain)(p)); err != nil {
		return err
	}
	p.raw = slices.Clone(raw)
	return nil
}

// formDrawn makes the fields of a form, and formRead the answer of what was given in them. Both name a field by the way to it:
// lines/0/item is the item of the first line.
type formDrawn struct{ given url.Values }

// schemaFields are those of an object's members, in their order; nil when the schema is of something else.
func schemaFields(schema bide.JSON, given url.Values) []linkField {
	return formDrawn{given}.members("", schema, nil, 0)
}

// members are the fields of an object, with the values of def where nothing was given.
func (f formDrawn) members(at string, schema, def bide.JSON, depth int) (fields []linkField) {
	names, members, required := objectSchema(schema)
	var was map[string]bide.JSON
	_ = json.Unmarshal(def, &was) // what is no object has no members
	for _, name := range names {
		p := members[name]
		value := p.Default
		if was != nil {
			value = was[name]
		}
		field := f.field(at+fieldName(name), name, &p, value, depth)
		field.Required = slices.Contains(required, name)
		fields = append(fields, field)
	}
	return fields
}

func (f formDrawn) field(at, label string, p *property, def bide.JSON, depth int) linkField {
	out := linkField{Name: at, Label: label, About: p.Description, Kind: p.kind(depth), Value: fieldText(def)}
	if p.Title != "" {
		out.Label = p.Title
	}
	switch out.Kind {
	case kindGroup:
		out.Fields = f.members(at+"/", p.raw, def, depth+1)
		return out
	case kindList:
		var was []bide.JSON
		_ = json.Unmarshal(def, &was) // what is no list has no rows
		for i := range rowsOf(f.given, at, max(p.MinItems, len(was))) {
			var row bide.JSON
			if i < len(was) {
				row = was[i]
			}
			out.Fields = append(out.Fields, f.field(at+"/"+strconv.Itoa(i), strconv.Itoa(i+1), p.Items, row, depth+1))
		}
		return out
	}
	for _, choice := range p.Enum {
		out.Choices = append(out.Choices, fieldText(choice))
	}
	if text, ok := f.given["f."+at]; ok {
		out.Value = text[0]
	} else if f.given != nil && out.Kind == "check" {
		out.Value = "" // a check that is not ticked is not sent
	}
	return out
}

// fieldName is a member's name as a part of the name of a field.
func fieldName(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// rowsOf is how many rows a list has: as many as its form says, or at first some.
func rowsOf(given url.Values, at string, first int) int {
	if text, ok := given["n."+at]; ok {
		first, _ = strconv.Atoi(text[0]) // what is no number is none
	}
	return min(max(first, 0), maxFormRows)
}

// changeRows adds a row to a list of a form or takes one away, and reports whether that is what its button is for.
func changeRows(given url.Values) bool {
	if at := given.Get("add"); at != "" {
		given.Set("n."+at, strconv.Itoa(min(rowsOf(given, at, 0)+1, maxFormRows)))
		return true
	}
	row := given.Get("drop")
	cut := strings.LastIndexByte(row, '/')
	if cut < 0 {
		return false
	}
	at := row[:cut]
	n := rowsOf(given, at, 0)
	gone, err := strconv.Atoi(row[cut+1:])
	if err != nil || gone < 0 || gone >= n {
		return true // the page is drawn as it was
	}
	moved := url.Values{}
	for name, value := range given {
		prefix, place, _ := strings.Cut(name, ".")
		rest, inside := strings.CutPrefix(place, at+"/")
		if !inside || prefix != "f" && prefix != "n" {
			moved[name] = value
			continue
		}
		index, below, deeper := strings.Cut(rest, "/")
		i, err := strconv.Atoi(index)
		switch {
		case err != nil || i == gone:
			continue
		case i > gone:
			i--
		}
		to := prefix + "." + at + "/" + strconv.Itoa(i)
		if deeper {
			to += "/" + below
		}
		moved[to] = value
	}
	clear(given)
	maps.Copy(given, moved)
	given.Set("n."+at, strconv.Itoa(n-1))
	return true
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

// kind is what a field of a depth is drawn as.
func (p *property) kind(depth int) string {
	var typ string
	_ = json.Unmarshal(p.Type, &typ) // a list of types is JSON to write
	switch {
	case depth < maxFormDepth && typ == "object" && p.isObject():
		return kindGroup
	case depth < maxFormDepth && typ == "array" && p.Items != nil && p.Items.kind(depth+1) != "json":
		return kindList
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

func (p *property) isObject() bool {
	names, _, _ := objectSchema(p.raw)
	return len(names) > 0
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
	out, _, err := formRead{given, refuse}.members("", w.Schema, 0)
	return out, err
}

type formRead struct {
	given  url.Values
	refuse func(path, why string) (bide.JSON, error)
}

// members makes an object, and reports whether anything but unticked checks is in it.
func (f formRead) members(at string, schema bide.JSON, depth int) (bide.JSON, bool, error) {
	names, members, required := objectSchema(schema)
	out, filled := map[string]bide.JSON{}, false
	for _, name := range names {
		p := members[name]
		value, some, err := f.value(at+fieldName(name), &p, depth)
		if err != nil {
			return nil, false, err
		}
		nested := p.kind(depth) == kindGroup || p.kind(depth) == kindList
		if value != nil && (some || !nested || slices.Contains(required, name)) {
			out[name] = value
		}
		filled = filled || some
	}
	raw, err := asWritten(out)
	return raw, filled, err
}

// value makes what a field holds, nil when that is nothing, and reports whether somebody filled it in.
func (f formRead) value(at string, p *property, depth int) (bide.JSON, bool, error) {
	text := strings.ReplaceAll(f.given.Get("f."+at), "\r\n", "\n")
	refuse := func(why string) (bide.JSON, bool, error) {
		_, err := f.refuse("/"+at, why)
		return nil, false, err
	}
	switch kind := p.kind(depth); {
	case kind == kindGroup:
		return f.members(at+"/", p.raw, depth+1)
	case kind == kindList:
		return f.rows(at, p.Items, depth)
	case kind == "check":
		return bide.JSON(strconv.FormatBool(text == "true")), text == "true", nil
	case text == "":
		return nil, false, nil
	case kind == "line" || kind == "text":
		raw, err := asWritten(text)
		return raw, true, err
	case kind == "choice":
		i := slices.IndexFunc(p.Enum, func(raw bide.JSON) bool { return fieldText(raw) == text })
		if i < 0 {
			return refuse("is none of the choices")
		}
		return p.Enum[i], true, nil
	case !json.Valid([]byte(text)):
		return refuse("is not a " + map[string]string{"number": "number", "json": "JSON value"}[kind])
	}
	return bide.JSON(strings.TrimSpace(text)), true, nil
}

// rows makes a list. A row in which nothing was filled in stands for an empty value, so that whoever asks can refuse it.
func (f formRead) rows(at string, items *property, depth int) (bide.JSON, bool, error) {
	out := []bide.JSON{}
	for i := range rowsOf(f.given, at, 0) {
		row, _, err := f.value(at+"/"+strconv.Itoa(i), items, depth+1)
		if err != nil {
			return nil, false, err
		}
		if row == nil {
			row = bide.JSON("null")
			if k := items.kind(depth + 1); k == "line" || k == "text" {
				row = bide.JSON(`""`)
			}
		}
		out = append(out, row)
	}
	raw, err := asWritten(out)
	return raw, len(out) > 0, err
}

// asWritten is a value as JSON, its text as people wrote it.
func asWritten(v any) (bide.JSON, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(out.Bytes()), err
}
