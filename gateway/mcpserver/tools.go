package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bide-dev/bide"
)

// addTools adds the tools that are always there. Where arguments are the body of a request, the API checks them.
func (s *server) addTools() {
	yes, no := true, false
	look := &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &no}
	change := &mcp.ToolAnnotations{DestructiveHint: &yes, OpenWorldHint: &yes}
	add := func(name, description, schema string, hints *mcp.ToolAnnotations, h mcp.ToolHandler) {
		s.mcp.AddTool(&mcp.Tool{Name: name, Description: description, InputSchema: json.RawMessage(schema), Annotations: hints}, h)
	}
	add("start_run", "Starts a run of a workflow and returns it. With a key that was used before, it returns that run.",
		`{"type":"object","properties":{"workflow":{"type":"string"},"version":{"type":"string","description":"defaults to the newest"},`+
			`"input":{"description":"what the workflow is given"},"key":{"type":"string","description":"names the run: the same key gives the same run"},`+
			`"session":{"type":"string"},"labels":{"type":"object","additionalProperties":{"type":"string"}}},"required":["workflow"],"additionalProperties":false}`,
		change, s.posts("/v1/runs"))
	add("get_run", "A run as it is now: its status, open waits, vars, output or error.",
		`{"type":"object","properties":{"run_id":{"type":"string"},"wait":{"type":"integer","minimum":0,"maximum":25,`+
			`"description":"wait up to this many seconds for it to end or to wait for something"}},"required":["run_id"],"additionalProperties":false}`,
		look, s.getRun)
	add("list_waits", "The open waits: what runs wait for. Those of kind question, form, tool_approval, budget and attention are for somebody to answer.",
		`{"type":"object","properties":{"run_id":{"type":"string"},"kind":{"type":"string"},"mine":{"type":"boolean","description":"only those that you may answer"},`+
			`"limit":{"type":"integer","minimum":1,"maximum":1000},"cursor":{"type":"string","description":"next of the page before"}},"additionalProperties":false}`,
		look, s.listWaits)
	add("answer_wait", "Answers a wait, if your credentials may decide. A question or form takes answer; a tool_approval takes decisions or approved; "+
		"a budget or attention takes type. The first answer counts.",
		`{"type":"object","properties":{"wait_id":{"type":"string"},"answer":{"description":"for a question its text or choice, for a form its value"},`+
			`"decisions":{"type":"array","items":{"type":"object"}},"approved":{"type":"boolean"},"remember":{"type":"object"},"type":{"type":"string"},`+
			`"limits":{"type":"object"},"result":{},"error":{"type":"string"},"message":{"type":"string"}},"required":["wait_id"],"additionalProperties":false}`,
		change, s.answerWait)
	add("send_event", "Sends an event to the run or session that waits for it, now or later.",
		`{"type":"object","properties":{"event_id":{"type":"string","description":"an id is delivered once"},"scope":{"enum":["run","session","workflow","global"]},`+
			`"scope_id":{"type":"string"},"name":{"type":"string"},"payload":{},"keep":{"type":"string"}},"required":["name"],"additionalProperties":false}`,
		change, s.posts("/v1/events"))
	add("get_ledger", "What happened in a run, record by record.",
		`{"type":"object","properties":{"run_id":{"type":"string"},"from":{"type":"integer","minimum":1},"limit":{"type":"integer","minimum":1,"maximum":1000}},`+
			`"required":["run_id"],"additionalProperties":false}`,
		look, s.getLedger)
}

// posts is a tool whose arguments are the body of a request.
func (s *server) posts(path string) mcp.ToolHandler {
	return func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return s.do(ctx, req, http.MethodPost, path, req.Params.Arguments)
	}
}

func (s *server) getRun(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in struct {
		Run  string `json:"run_id"`
		Wait int    `json:"wait"`
	}
	if err := arguments(req, &in); err != nil {
		return refused(err), nil
	}
	path := "/v1/runs/" + url.PathEscape(in.Run)
	over := time.NewTimer(time.Duration(min(in.Wait, 25)) * time.Second)
	defer over.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		out, err := s.do(ctx, req, http.MethodGet, path, nil)
		if err != nil || out.IsError || !running(out) {
			return out, err
		}
		select {
		case <-tick.C:
		case <-over.C:
			return out, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// running reports whether there is more to come by itself.
func running(out *mcp.CallToolResult) bool {
	text, _ := out.StructuredContent.(json.RawMessage)
	var run struct {
		Status bide.Status `json:"status"`
	}
	return json.Unmarshal(text, &run) == nil && run.Status == bide.StatusRunning
}

func (s *server) listWaits(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in struct {
		Run    string `json:"run_id"`
		Kind   string `json:"kind"`
		Mine   bool   `json:"mine"`
		Limit  int    `json:"limit"`
		Cursor string `json:"cursor"`
	}
	if err := arguments(req, &in); err != nil {
		return refused(err), nil
	}
	q := url.Values{}
	for name, value := range map[string]string{"run": in.Run, "kind": in.Kind, "cursor": in.Cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if in.Mine {
		q.Set("mine", "true")
	}
	if in.Limit > 0 {
		q.Set("limit", strconv.Itoa(in.Limit))
	}
	return s.do(ctx, req, http.MethodGet, "/v1/waits?"+q.Encode(), nil)
}

func (s *server) answerWait(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in map[string]json.RawMessage
	var wait string
	if err := arguments(req, &in); err != nil {
		return refused(err), nil
	}
	if err := json.Unmarshal(in["wait_id"], &wait); err != nil {
		return refused(bide.Errorf(bide.CodeInvalidInput, "wait_id is missing or no text")), nil
	}
	delete(in, "wait_id")
	body, err := json.Marshal(in)
	if err != nil {
		return refused(err), nil
	}
	return s.do(ctx, req, http.MethodPost, "/v1/waits/"+url.PathEscape(wait)+"/answer", body)
}

func (s *server) getLedger(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in struct {
		Run   string `json:"run_id"`
		From  int64  `json:"from"`
		Limit int    `json:"limit"`
	}
	if err := arguments(req, &in); err != nil {
		return refused(err), nil
	}
	q := url.Values{}
	if in.From > 0 {
		q.Set("from", strconv.FormatInt(in.From, 10))
	}
	if in.Limit > 0 {
		q.Set("limit", strconv.Itoa(in.Limit))
	}
	return s.do(ctx, req, http.MethodGet, "/v1/runs/"+url.PathEscape(in.Run)+"/ledger?"+q.Encode(), nil)
}

// arguments reads a call's arguments; what is not known is a fault.
func arguments(req *mcp.CallToolRequest, into any) error {
	if len(req.Params.Arguments) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(req.Params.Arguments))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return bide.Errorf(bide.CodeInvalidInput, "the arguments cannot be used: %w", err)
	}
	return nil
}
