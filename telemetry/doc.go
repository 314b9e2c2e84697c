// Package telemetry makes OpenTelemetry traces and metrics of what a runtime commits, through the OpenTelemetry API only.
//
//	t, err := telemetry.New(rt, nil)      // the global providers
//	go t.Run(ctx)
//
// # Traces
//
// A run and all runs below it are one trace. The begin of a run is a span, and so is each attempt of an effect, from its
// announcement to its outcome, by the times in the ledger; the end of a run is a span as well. None is held open while a run waits. Calls of
// models and tools have the names and attributes of the semantic conventions for generative AI. The ids of a trace and its spans
// follow from run, step, effect and attempt: give [IDs] to the provider, as in sdktrace.WithIDGenerator(telemetry.IDs{}),
// and a commit that is seen twice gives the same spans. Begins of runs are root spans, by which a sampler decides; one that goes by
// the id of the trace, such as TraceIDRatioBased without ParentBased around it, decides alike for all spans of a trace.
//
// # Metrics
//
// bide.runs counts ends of runs by workflow and status, bide.attempts outcomes of attempts by type and outcome, with their
// duration in bide.attempt.duration; gen_ai.client.operation.duration and gen_ai.client.token.usage are those of the conventions.
//
// Payloads and results are in no span unless [Options].Payloads is set. Replay commits nothing, and so gives nothing.
//
// The package knows no exporter: what is done with the telemetry is up to the providers. Package otlp has one, which the binary uses.
package telemetry
