// What needs a person, what fails, what is set aside, what is late; and how it goes.

import { useState } from "preact/hooks";
import { call, read } from "../api/client";
import type { Flow, FlowList, Run, RunInfo, RunPage, ScheduleList } from "../api/types";
import { Act, verb } from "../actions";
import { listed, more, open } from "../inbox";
import { useLoaded } from "../load";
import { go, href } from "../router";
import { Latency, Throughput } from "../stats";
import { given, now, relative } from "../time";
import { asks, titled } from "../words";
import { Copy, Refusal, RunLink, Time } from "../ui/basics";
import demo from "../demo.yaml";

const ends = (kind: string) => kind.startsWith("run.");

export function Home() {
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
      <Refusal error={any.error} />
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
      <div class="cards"><Throughput over="24h" /><Latency over="24h" /></div>
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
