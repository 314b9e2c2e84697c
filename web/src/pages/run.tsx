// One run: a sentence that says how it stands, and three views of its records that share one selection.

import { useEffect, useRef, useState } from "preact/hooks";
import { read, segment } from "../api/client";
import type { Json } from "../api/json";
import type { Rec } from "../api/record";
import type { BookmarkList, LlmSpending, Run } from "../api/types";
import { Act, verb, verbsFor } from "../actions";
import { useLoaded } from "../load";
import { go, href, put, query } from "../router";
import { given, moment } from "../time";
import { doing, people, titled, why } from "../words";
import { Answer, asks, Deadline } from "../ui/answer";
import { Copy, Refusal, RunLink, Status, Tabs, Time } from "../ui/basics";
import { Tree } from "../ui/json";
import { SendLink } from "../ui/link";
import { Artifacts, artifactsIn } from "../ui/preview";
import { Below } from "../run/children";
import { RunGraph, useShape } from "../run/graph";
import { Live, speaking } from "../run/live";
import { Inspector, stateAt } from "../run/inspector";
import { Kept } from "../run/kept";
import { useRecords } from "../run/ledger";
import { Marks } from "../run/mark";
import { LedgerTable } from "../run/table";
import { Timeline } from "../run/timeline";
import { Trust } from "../run/trust";

const views = [["graph", "Graph"], ["timeline", "Timeline"], ["ledger", "Ledger"]] as const;
type View = (typeof views)[number][0];

export function RunPage({ id }: { id: string }) {
  const path = `v1/runs/${segment(id)}`;
  const live = useLoaded((s) => read<Run>(path, {}, s), [id], (run) => run === id, 150);
  const { records, error, complete } = useRecords(id);
  const last = records.length;
  const wanted = Number(query.value.get("seq")) || 0;
  const seq = wanted > 0 && wanted <= last ? wanted : last;
  const past = seq < last;
  const then = useLoaded(() => (past ? stateAt(id, seq) : Promise.resolve(undefined)), [id, seq, past]);
  const run = past ? then.value ?? live.value : live.value;
  const view = (query.value.get("view") as View) || "graph";
  const select = (to: number) => put({ seq: to >= last ? undefined : Math.max(1, to) });
  const shape = useShape(live.value);
  const marks = useLoaded((s) => read<BookmarkList>("v1/bookmarks", { q: id }, s), [id]);

  if (!live.value) return <><h1>Run</h1>{live.error ? <Refusal error={live.error} /> : <p class="faint">Loading…</p>}</>;
  const now = live.value;
  return (
    <>
      <header class="run-head">
        <h1>{titled(now)}</h1>
        <p class="mono faint">{id} <Copy text={id} /></p>
      </header>
      <section class={`sentence card ${past ? "past" : ""}`} aria-live="polite">
        <p class="lead"><Status of={now.set_aside ? "set_aside" : (run ?? now).status} /> {past ? <>After record {seq}: {run && doing(run, Date.parse(records[seq - 1]?.at))}</> : doing(now)}</p>
        {past ? <p><button type="button" class="primary" onClick={() => put({ seq: undefined })}>Back to now</button> You look at an earlier state.</p> : <Now run={now} done={live.again} />}
      </section>
      <Refusal error={live.error ?? error ?? then.error} />
      <Scrubber seq={seq} last={last} at={records[seq - 1]?.at} select={select} complete={complete} />
      <Marks of={marks.value?.bookmarks.filter((b) => b.run_id === id) ?? []} seq={seq} select={select} />
      <Tabs label="Views of the run" of={views} value={view} choose={(v) => put({ view: v === "graph" ? undefined : v })} />
      <div class="run-body">
        <div class="run-view">
          {view === "graph" && <RunGraph shape={shape} records={records} run={run} seq={seq} selected={records[seq - 1]?.node} select={select} />}
          {view === "timeline" && <Timeline records={records} seq={seq} select={select} />}
          {view === "ledger" && <LedgerTable records={records} seq={seq} select={select} />}
          <Why run={now} />
          <Trust run={now} />
          <Below run={now} />
          <Commands records={records} select={select} />
          <Kept run={now} />
          <About run={now} />
        </div>
        <Inspector id={id} records={records} seq={seq} head={now.head} select={select} marked={marks.again} />
      </div>
    </>
  );
}

/** Now offers what can be done about the run as it is. */
function Now({ run, done }: { run: Run; done: () => void }) {
  const waits = (run.waits ?? []).filter((w) => (people as readonly string[]).includes(w.kind));
  // What is answered stays for a while, so that one sees that it was and by whom.
  const [kept, keep] = useState(waits);
  useEffect(() => {
    keep((old) => [...old.filter((w) => !waits.some((x) => x.wait_id === w.wait_id)).slice(-2), ...waits]);
  }, [waits.map((w) => w.wait_id).join(" ")]);
  return (
    <>
      {run.status === "failed" && run.error && (
        <details><summary>The failure</summary><dl class="facts">
          <dt>Code</dt><dd>{run.error.code}</dd>{run.error.node && <><dt>Node</dt><dd>{run.error.node}</dd></>}{run.error.effect && <><dt>Effect</dt><dd>{run.error.effect}, {run.error.attempts} attempts</dd></>}
          <dt>Message</dt><dd class="wrap">{run.error.message}</dd></dl>{run.error.stack && <pre class="scroll" tabIndex={0}>{run.error.stack}</pre>}</details>
      )}
      {run.status === "completed" && <><Tree value={run.output} label="Output" /><Artifacts run={run.run_id} of={artifactsIn(run.output)} /></>}
      {speaking(run) && <Live id={run.run_id} />}
      {kept.slice(-12).map((w) => (
        <article key={w.wait_id} class="inline-wait" aria-label={asks(w)}>
          <h3>{asks(w)}</h3>
          <p class="faint">at {w.node}, asked <Time at={w.created_at} /><Deadline wait={w} /></p>
          <Answer wait={w} done={done} />
          {waits.includes(w) && <SendLink wait={w.wait_id} />}
        </article>
      ))}
      <p class="row">{verbsFor(run.status, run.set_aside).map((v) => <Act key={v} of={verb(v, run.run_id)} done={() => (v === "delete" ? go(href(["runs"])) : done())} />)}</p>
    </>
  );
}

function Scrubber({ seq, last, at, select, complete }: { seq: number; last: number; at?: string; select: (seq: number) => void; complete: boolean }) {
  const [draft, setDraft] = useState<number>();
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  if (last < 2) return null;
  const drag = (to: number) => {
    setDraft(to);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => { setDraft(undefined); select(to); }, 60);
  };
  return (
    <div class="scrubber row" role="group" aria-label="Time">
      <button type="button" aria-label="One record back" disabled={seq <= 1} onClick={() => select(seq - 1)}>◀</button>
      <input class="grow" type="range" min="1" max={last} value={draft ?? seq} aria-label="Record" aria-valuetext={`record ${seq} of ${last}`} onInput={(e) => drag(Number(e.currentTarget.value))} />
      <button type="button" aria-label="One record on" disabled={seq >= last} onClick={() => select(seq + 1)}>▶</button>
      <span class="faint scrub-at">{draft ?? seq} of {last}{!complete && "…"}{at && ` · ${moment(at)}`}</span>
    </div>
  );
}

function Why({ run }: { run: Run }) {
  return (
    <details class="card" open={run.status === "failed" || run.status === "waiting"}>
      <summary>Why</summary>
      <ul>{why(run).map((r, i) => <li key={i}>{r.text}{r.next && <> <code>{r.next}</code> <Copy text={r.next} /></>}</li>)}</ul>
    </details>
  );
}

/** Commands are the changes from outside: who asked for what, and which record it became. */
function Commands({ records, select }: { records: Rec[]; select: (seq: number) => void }) {
  const given = records.filter((r) => r.command || r.actor);
  if (given.length === 0) return null;
  return (
    <details class="card">
      <summary>{given.length === 1 ? "One command" : `${given.length} commands`} received</summary>
      <ul class="lines">{given.slice(-200).map((r) => (
        <li key={r.seq}><span><button type="button" class="link" onClick={() => select(r.seq)}>#{r.seq} {r.kind}</button>{r.actor && ` by ${r.actor}`}{r.reason && `: ${r.reason}`}</span><span class="faint"><Time at={r.at} /> <code class="clip" title={r.command}>{r.command}</code></span></li>
      ))}</ul>
    </details>
  );
}

function About({ run }: { run: Run }) {
  const usage = useLoaded((s) => read<LlmSpending>(`v1/runs/${segment(run.run_id)}/usage`, { tree: true }, s), [run.run_id, run.status]);
  const u = usage.value;
  return (
    <details class="card">
      <summary>About this run</summary>
      <dl class="facts">
        <dt>Workflow</dt><dd><a href={href(["workflows", run.workflow, run.version])}>{run.workflow}</a></dd>
        <dt>Version</dt><dd class="mono clip" title={run.version}>{run.version.slice(0, 16)}</dd>
        <dt>Started</dt><dd>{moment(run.created_at)}{run.actor && ` by ${run.actor}`}</dd>
        {given(run.ended_at) && <><dt>Ended</dt><dd>{moment(run.ended_at)}</dd></>}
        {given(run.deadline) && <><dt>Deadline</dt><dd>{moment(run.deadline)}</dd></>}
        {run.session && <><dt>Session</dt><dd>{run.session}</dd></>}
        {run.parent && <><dt>Below</dt><dd><RunLink id={run.parent} /></dd></>}
        {run.origin && <><dt>Forked from</dt><dd><RunLink id={run.origin} /> <a href={href(["compare"], { a: run.origin, b: run.run_id })}>compare</a></dd></>}
        {Object.entries(run.labels ?? {}).map(([n, v]) => <><dt key={n}>{n}</dt><dd>{v}</dd></>)}
        {!!u?.calls && <><dt>Models</dt><dd>{u.calls} calls, {u.input_tokens} tokens in, {u.output_tokens} out, {u.usd} USD{u.unpriced > 0 && `, ${u.unpriced} without a price`}</dd></>}
      </dl>
      <p><a href={href(["compare"], { a: run.run_id })}>Compare it with another run</a></p>
      {!!run.grants?.length && (
        <><h4>Grants</h4><ul class="lines">{run.grants.map((g) => (
          <li key={g.grant_id}><span><code>{g.tool}</code> may be called in this {g.scope}{g.match === "tool+args" && " with the same arguments"}, by {g.by}</span>
            <Act of={{ label: "Revoke", request: { method: "DELETE", path: `v1/runs/${segment(run.run_id)}/grants/${segment(g.grant_id)}` }, danger: true, consequence: "Calls that it lets pass will ask again." }} /></li>
        ))}</ul></>
      )}
      <Tree value={run.vars as Json} label="Vars now" />
    </details>
  );
}
