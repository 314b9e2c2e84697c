// What is counted over time, as charts.

import { read } from "./api/client";
import type { Latencies, Outcomes, TimeSums, UsageSums } from "./api/types";
import { useLoaded } from "./load";
import { span } from "./time";
import { Refusal } from "./ui/basics";
import { Bars, Lines, Shares } from "./ui/chart";

/** spans that charts are drawn over. */
export const spans = { "1h": ["hour", 3_600_000, "5m"], "24h": ["day", 86_400_000, "1h"], "168h": ["week", 604_800_000, "6h"], "720h": ["30 days", 2_592_000_000, "1d"] } as const;
export type Span = keyof typeof spans;

const times = (over: Span) => ({ from: new Date(Date.now() - spans[over][1]).toISOString(), to: new Date().toISOString() });
const ended = (kind: string) => kind.startsWith("run.");
const at = (t: string, over: Span) => new Date(t).toLocaleString(undefined, over === "1h" || over === "24h" ? { hour: "2-digit", minute: "2-digit" } : { month: "short", day: "numeric", hour: over === "168h" ? "2-digit" : undefined });
const seconds = (s: number) => span(s * 1000);

/** Throughput is how runs ended over time. */
export function Throughput({ over, q }: { over: Span; q?: string }) {
  const { value, error } = useLoaded((s) => read<Outcomes>("v1/stats/outcomes", { q, ...times(over), every: spans[over][2] }, s), [over, q], (_, r) => ended(r.kind), 3000);
  const total = (k: "started" | "completed" | "failed") => value?.buckets.reduce((n, b) => n + b[k], 0) ?? 0;
  return (
    <section class="card">
      <h2>Runs that ended in the last {spans[over][0]}</h2>
      <Refusal error={error} />
      {value && <><p class="faint">{total("started")} started, {total("completed")} completed, {total("failed")} failed{value.partial && "; there are more than were counted"}</p>
        <Bars label={`Runs that ended, per ${spans[over][2]}`} slots={value.buckets.map((b) => ({ name: at(b.at, over), parts: [["completed", b.completed], ["failed", b.failed], ["cancelled", b.cancelled]] }))} /></>}
    </section>
  );
}

/** Latency is how long runs took that completed. */
export function Latency({ over, q }: { over: Span; q?: string }) {
  const { value, error } = useLoaded((s) => read<Latencies>("v1/stats/latency", { q, ...times(over), every: spans[over][2] }, s), [over, q], (_, r) => ended(r.kind), 3000);
  const w = value?.whole;
  return (
    <section class="card">
      <h2>How long they took</h2>
      <Refusal error={error} />
      {value && w && <><p class="faint">{w.runs === 0 ? "none completed" : <>half within {seconds(w.p50_seconds)}, 9 of 10 within {seconds(w.p90_seconds)}, 99 of 100 within {seconds(w.p99_seconds)}</>}{value.partial && "; there are more than were looked at"}</p>
        <Lines label={`Time from start to end, per ${spans[over][2]}`} format={seconds} slots={value.buckets.map((b) => ({ name: at(b.at, over), parts: [["p50", b.p50_seconds], ["p90", b.p90_seconds], ["p99", b.p99_seconds]] }))} /></>}
    </section>
  );
}

/** People is what the time of runs went into. */
export function People({ over, q }: { over: Span; q?: string }) {
  const { value, error } = useLoaded((s) => read<TimeSums>("v1/stats/time", { q, ...times(over) }, s), [over, q], (_, r) => ended(r.kind), 5000);
  return (
    <section class="card">
      <h2>What the time of runs went into</h2>
      <Refusal error={error} />
      {value && (value.workflows.length === 0 ? <p class="faint">No runs.</p>
        : <Shares format={seconds} rows={value.workflows.map((w) => ({ name: w.workflow, parts: [["people", w.people_seconds], ["computing", w.computing_seconds], ["waiting", w.waiting_seconds], ["paused", w.paused_seconds], ["idle", w.idle_seconds]] }))} />)}
      {value?.partial && <p class="faint">Of the {value.runs} runs that changed last.</p>}
    </section>
  );
}

/** Spending is what models took, by workflow and model. */
export function Spending({ over, q }: { over: Span; q?: string }) {
  const { value, error } = useLoaded((s) => read<UsageSums>("v1/stats/usage", { q, ...times(over) }, s), [over, q], (_, r) => ended(r.kind), 5000);
  const rows = value?.usage ?? [];
  return (
    <section class="card">
      <h2>What models took in the last {spans[over][0]}</h2>
      <Refusal error={error} />
      {value && (rows.length === 0 ? <p class="faint">No calls of models.</p> : (
        <>
          <Shares format={(v) => v.toLocaleString()} rows={rows.map((u) => ({ name: `${u.workflow} · ${u.model || "no model"}`, parts: [["input", u.input_tokens], ["output", u.output_tokens]] }))} />
          <div class="scroll" tabIndex={0} role="region" aria-label="Table"><table class="list"><thead><tr><th>Workflow</th><th>Model</th><th>Calls</th><th>Tokens in</th><th>out</th><th>USD</th></tr></thead>
            <tbody>{rows.map((u) => <tr key={u.workflow + u.model}><td>{u.workflow}</td><td>{u.model || "–"}</td><td>{u.calls}{u.failed > 0 && ` (${u.failed} failed)`}</td><td>{u.input_tokens}</td><td>{u.output_tokens}</td><td>{u.usd}{u.unpriced > 0 && ` + ${u.unpriced} unpriced`}</td></tr>)}</tbody></table></div>
        </>
      ))}
    </section>
  );
}

