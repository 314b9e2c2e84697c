package telemetry

import (
	"encoding/json"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/tool"
)

// The attributes of the semantic conventions for generative AI that are used here.
const (
	keyOperation    = attribute.Key("gen_ai.operation.name")
	keyProvider     = attribute.Key("gen_ai.provider.name")
	keyModel        = attribute.Key("gen_ai.request.model")
	keyServedModel  = attribute.Key("gen_ai.response.model")
	keyResponse     = attribute.Key("gen_ai.response.id")
	keyFinish       = attribute.Key("gen_ai.response.finish_reasons")
	keyInputTokens  = attribute.Key("gen_ai.usage.input_tokens")
	keyOutputTokens = attribute.Key("gen_ai.usage.output_tokens")
	keyTokenType    = attribute.Key("gen_ai.token.type")
	keyTool         = attribute.Key("gen_ai.tool.name")
	keyToolCall     = attribute.Key("gen_ai.tool.call.id")
	keyToolType     = attribute.Key("gen_ai.tool.type")
)

// describe names the span of an attempt and says what is known of it.
func describe(e *bide.Effect, result bide.JSON) (name string, kind trace.SpanKind, attrs []attribute.KeyValue) {
	switch e.Type {
	case llm.Type:
		r := response(result)
		attrs = model(e, r)
		name = "chat"
		for _, a := range attrs {
			if a.Key == keyModel {
				name += " " + a.Value.AsString()
			}
		}
		if r == nil {
			return name, trace.SpanKindClient, attrs
		}
		attrs = append(attrs, keyFinish.StringSlice([]string{string(r.Finish)}))
		if r.ServedModel != "" {
			attrs = append(attrs, keyServedModel.String(r.ServedModel))
		}
		if r.ID != "" {
			attrs = append(attrs, keyResponse.String(r.ID))
		}
		if r.Usage.Input != nil {
			attrs = append(attrs, keyInputTokens.Int64(*r.Usage.Input))
		}
		if r.Usage.Output != nil {
			attrs = append(attrs, keyOutputTokens.Int64(*r.Usage.Output))
		}
		return name, trace.SpanKindClient, attrs
	case tool.TypeCall:
		var c tool.Call
		if err := json.Unmarshal(e.Payload, &struct {
			ID   *string `json:"tool_call_id"`
			Name *string `json:"name"`
		}{&c.ID, &c.Name}); err != nil {
			return "execute_tool", trace.SpanKindInternal, nil
		}
		return "execute_tool " + c.Name, trace.SpanKindInternal, []attribute.KeyValue{keyOperation.String("execute_tool"), keyTool.String(c.Name), keyToolCall.String(c.ID), keyToolType.String("function")}
	}
	return "effect " + e.Type, trace.SpanKindInternal, nil
}

// response reads the result of a call of a model; nil when it is none.
func response(result bide.JSON) *llm.Response {
	var r llm.Response
	if result == nil || json.Unmarshal(result, &r) != nil || r.Model == "" {
		return nil
	}
	return &r
}

// model says which model was asked, as far as the response or the request says.
func model(e *bide.Effect, r *llm.Response) []attribute.KeyValue {
	var asked struct {
		Model string `json:"model"`
	}
	attrs := []attribute.KeyValue{keyOperation.String("chat")}
	if r != nil {
		asked.Model = r.Model
	} else if err := json.Unmarshal(e.Payload, &asked); err != nil || asked.Model == "" {
		return attrs
	}
	provider, name, _ := strings.Cut(asked.Model, "/")
	return append(attrs, keyProvider.String(provider), keyModel.String(name))
}
