package api

import (
	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// Tool is a tool that steps and agents may call.
type Tool struct {
	Name        string               `json:"name"`
	Description string               `json:"description,omitempty"`
	Schema      bide.JSON            `json:"args_schema" doc:"JSON Schema of the arguments"`
	Source      bide.ToolSource      `json:"source" doc:"tool_sha256 is the hash of its definition: grants are void when it changes"`
	Annotations bide.ToolAnnotations `json:"annotations"`
	Safety      string               `json:"safety" enum:"once,idempotent,read_only" doc:"what a second call does; after a crash in the middle of a call, only once asks a person"`
	Decide      string               `json:"decide" enum:"auto,ask,deny,depends" doc:"what the policy says about its calls; depends: on the arguments or the run"`
	Rules       []ToolRule           `json:"rules" nullable:"false" doc:"the rules that may decide about its calls, in order; the last has no condition"`
	Timeout     bide.Duration        `json:"timeout" doc:"of one call"`
	AtOnce      int                  `json:"at_once,omitempty" doc:"how many calls run at the same time in one process; absent when that is not bounded"`
	MaxResult   int                  `json:"max_result" doc:"how many bytes of a result go back to the model"`
}

// DecideDepends is what a policy says about the calls of a tool besides auto, ask and deny.
const DecideDepends = "depends"

// ToolRule is a rule of the policy.
type ToolRule struct {
	When   string `json:"when,omitempty" doc:"a condition; absent, it always holds"`
	Decide string `json:"decide" enum:"auto,ask,deny"`
	Reason string `json:"reason,omitempty"`
}

// ToolServer is a server that tools come from.
type ToolServer struct {
	Name  string `json:"name"`
	Up    bool   `json:"up" doc:"its tools could be listed"`
	Error string `json:"error,omitempty" doc:"why they could not"`
}

// ToolList lists tools.
type ToolList struct {
	Tools   []Tool       `json:"tools" nullable:"false"`
	Servers []ToolServer `json:"servers" nullable:"false"`
}

// ModelProvider is where models are asked, without what is secret.
type ModelProvider struct {
	Name    string `json:"name" doc:"models are named provider/model"`
	Kind    string `json:"kind" doc:"its protocol"`
	BaseURL string `json:"base_url,omitempty"`
	Key     string `json:"key,omitempty" doc:"the reference to its key, such as env:OPENAI_API_KEY; never the key"`
}

// ModelPrice is what a million tokens cost, in US dollars.
type ModelPrice struct {
	Model      string `json:"model" doc:"provider/model, or provider/* for those without a price of their own"`
	Input      string `json:"input"`
	Output     string `json:"output"`
	CacheRead  string `json:"cache_read"`
	CacheWrite string `json:"cache_write"`
	Version    string `json:"version" doc:"of the table that it is from"`
}

// ModelList says which models can be asked, and at which prices.
type ModelList struct {
	Default   string          `json:"default,omitempty" doc:"the model of steps that name none"`
	Providers []ModelProvider `json:"providers" nullable:"false"`
	Prices    []ModelPrice    `json:"prices" nullable:"false"`
}

// SharedGrant lets later calls of a tool be made without asking, for a session or a workflow.
type SharedGrant struct {
	bide.Grant
	Of string `json:"of" doc:"the session or workflow"`
}

// GrantPage is one page of grants.
type GrantPage struct {
	Grants []SharedGrant `json:"grants" nullable:"false"`
	Next   string        `json:"next,omitempty" doc:"cursor of the next page; absent at the end"`
}

// RunUsage is what the calls of models of a run took; its children have their own.
type RunUsage struct {
	RunID    string       `json:"run_id"`
	Workflow string       `json:"workflow"`
	Status   bide.Status  `json:"status"`
	Usage    llm.Spending `json:"usage"`
}

// UsagePage is one page of the runs that asked models.
type UsagePage struct {
	Runs []RunUsage `json:"runs" nullable:"false" doc:"those that asked models; children have their own"`
	Next string     `json:"next,omitempty" doc:"cursor of the next page; absent at the end"`
}
