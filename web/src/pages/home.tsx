// What needs a person, what fails, what is set aside, what is late; and how it goes.

import { useState } from "preact/hooks";
import { call, read } from "../api/client";
import type { Flow, FlowList, Run, RunInfo, RunPage, ScheduleList } from "../api/types";
import { Act, verb } from "../actions";
import { listed, more, open } from "../inbox";
import { useLoaded } from "../load";
import { go, href } from "../router";
import { given, now, relative, span } from "../time";
import { asks, titled } from "../words";
import { Copy, Refusal, RunLink, Time } from "../ui/basics";
import { Bars } from "../ui/chart";
import demo from "../demo.yaml";

const ends = (kind: string) => kind.startsWith("run.");

export function Home() {
  const runs = useLoaded((s) => read<RunPage>("v1/runs", { limit: 500, q: "since:24h" }, s), [], (_, r) => ends(r.kind), 2000);
  const any = useLoaded((s) => read<RunPage>("v1/runs", { limit: 1 }, s), [], (_, r) => r.kind === "run.started", 5000);
  const failed = useLoaded((s) => read<RunPage>("v1/runs", { limit: 5, q: "status:failed" }, s), [], (_, r) => ends(r.kind), 1000);
  const aside = useLoaded((s) => read<RunPage>("v1/runs", { limit: 5, q: "is:set-aside" }, s), [], (_, r) => ends(r.kind), 5000);
  const schedules = useLoaded((s) => read<ScheduleList>("v1/schedules", { limit: 200 }, s), [], (_, r) => ends(r.kind), 5000);
  if (any.value?.runs.length === 0) return <Welcome />;
  const late = schedules.value?.schedules.filter((s) => s.status !== "paused" && given(s.due) && Date.parse(s.due) < now.value - 30_000) ?? [];
  const waits = listed.value;
  const quiet = open.value && waits.length === 0 && failed.value?.runs.length === 0 && aside.value?.runs.length === 0 && late.length === 0;
  return (
    <>
      <h1>{greeting(open.value?.size ?? 0)}</h1>
      <Refusal error={runs.error} />
      {quiet && <p class="lead">Nothing needs you: no open question, no failed run, nothing set aside.</p>}
      <div class="cards">
        {waits.length > 0 && (
          <section class="card">
            <h2>Needs a person <a class="count" href={href(["inbox"])}>{waits.length}{more.value ? "+" : ""}</a></h2>
            <ul class="lines">
              {waits.slice(0, 5).map((w) => (
                <li key={w.wait_id}>
                  <div><strong>{asks(w)}</strong><p class="faint">{w.workflow}, asked <Time at={w.created_at} />{given(w.expires_at) && <>, until <Time at={w.expires_at} /></>}</p></div>
                  <a class="button" href={href(["inbox"], { wait: w.wait_id })}>Answer</a>
                </li>
              ))}
            </ul>
          </section>
        )}
        <RunList title="Failed" query="status:failed" runs={failed.value?.runs} act="retry" again={failed.again} />
        <RunList title="Set aside" query="is:set-aside" runs={aside.value?.runs} act="release" again={aside.again} />
        {late.length > 0 && (
          <section class="card">
            <h2>Schedules that are late</h2>
            <ul class="lines">{late.slice(0, 5).map((s) => (
              <li key={s.spec.name}><div><strong>{s.spec.name}</strong><p class="faint">was due {relative(s.due!)}</p></div><a class="button" href={href(["schedules"])}>Look</a></li>
            ))}</ul>
          </section>
        )}
      </div>
      {runs.value && <Going runs={runs.value.runs} partial={!!runs.value.next} />}
    </>
  );
}

const greeting = (n: number) => (n === 0 ? "All quiet" : n === 1 ? "One thing waits for a person" : `${n} things wait for a person`);

function RunList({ title, query, runs, act, again }: { title: string; query: string; runs?: RunInfo[]; act: "retry" | "release"; again: () => void }) {
  if (!runs?.length) return null;
  return (
    <section class="card">
      <h2>{title} <a class="count" href={href(["runs"], { q: query })}>{runs.length === 5 ? "all" : runs.length}</a></h2>
      <ul class="lines">
        {runs.map((r) => (
          <li key={r.run_id}>
            <div><RunLink id={r.run_id}>{titled(r)}</RunLink><p class="faint">{r.set_aside || (r.node ? `at ${r.node}` : "")} <Time at={r.updated_at} /></p></div>
            <Act of={verb(act, r.run_id)} done={again} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Going shows the last day: how many runs ended and how long they took. */
function Going({ runs, partial }: { runs: RunInfo[]; partial: boolean }) {
  const hour = 3_600_000;
  const first = Math.floor(now.value / hour) - 23;
  const slots = Array.from({ length: 24 }, (_, i) => ({ at: (first + i) * hour, completed: 0, failed: 0, open: 0, took: [] as number[] }));
  for (const r of runs) {
    const slot = slots[Math.floor(Date.parse(r.created_at) / hour) - first];
    if (!slot) continue;
    if (r.status === "completed") slot.completed++;
    else if (r.status === "failed") slot.failed++;
    else slot.open++;
    if (given(r.ended_at)) slot.took.push(Date.parse(r.ended_at) - Date.parse(r.created_at));
  }
  const middle = (v: number[]) => v.sort((a, b) => a - b)[Math.floor(v.length / 2)] ?? 0;
  const name = (s: { at: number }) => new Date(s.at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  const total = (k: "completed" | "failed" | "open") => slots.reduce((n, s) => n + s[k], 0);
  return (
    <div class="cards">
      <section class="card">
        <h2>Runs started in the last day</h2>
        <p class="faint">{total("completed")} completed, {total("failed")} failed, {total("open")} under way or cancelled{partial && "; the newest 500 only"}</p>
        <Bars label="Runs started per hour" slots={slots.map((s) => ({ name: name(s), parts: [["completed", s.completed], ["failed", s.failed], ["open", s.open]] }))} />
      </section>
      <section class="card">
        <h2>How long they took</h2>
        <p class="faint">the middle one of each hour</p>
        <Bars label="Median time from start to end per hour" format={span} slots={slots.map((s) => ({ name: name(s), parts: [["open", middle(s.took)]] }))} />
      </section>
    </div>
  );
}

function Welcome() {
  const [error, setError] = useState<unknown>();
  const start = async () => {
    try {
      await call<Flow>({ method: "POST", path: "v1/workflows", body: { source: demo, name: "demo.yaml" } });
      const run = await call<Run>({ method: "POST", path: "v1/runs", body: { workflow: "demo-refund", input: {} } });
      go(href(["runs", run.run_id]));
    } catch (e) {
      setError(e);
    }
  };
  const flows = useLoaded((s) => read<FlowList>("v1/workflows", {}, s), []);
  const command = "bide run examples/refund.yaml";
  return (
    <div class="welcome">
      <h1>Nothing has run here yet</h1>
      <p class="lead">Start a run on the command line, and it shows up here as it goes:</p>
      <p class="command"><code>{command}</code> <Copy text={command} /></p>
      <p><button type="button" class="primary" onClick={start}>Start a demo</button> publishes a small flow, a refund that asks a person, and starts it.</p>
      {!!flows.value?.workflows.length && <p>Or <a href={href(["workflows"])}>start one of {flows.value.workflows.length} workflows</a>.</p>}
      <Refusal error={error} />
    </div>
  );
}
