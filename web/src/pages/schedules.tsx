// Schedules: when they fire next, what became of the last time, and a form for another one.

import { useState } from "preact/hooks";
import { call, read, segment, type Request } from "../api/client";
import type { Json } from "../api/json";
import type { FlowList, Schedule, ScheduleList, ScheduleTimes } from "../api/types";
import { Act, CopyAs, type Action } from "../actions";
import { useLoaded } from "../load";
import { denied } from "../me";
import { href } from "../router";
import { given, moment, now } from "../time";
import { Dialog, Empty, Refusal, RunLink, Status, Time } from "../ui/basics";
import { JsonInput } from "../ui/form";

const change = (name: "pause" | "unpause" | "trigger" | "delete", s: Schedule): Action => {
  const path = `v1/schedules/${segment(s.spec.name)}`;
  const command = name === "trigger" ? undefined : ["schedule", name === "delete" ? "rm" : name, s.spec.name];
  switch (name) {
    case "pause": return { right: "author", label: "Pause", request: { method: "POST", path: `${path}/pause`, body: {} }, command, consequence: "No run is started until it is unpaused. A run at work goes on; times that come meanwhile count as missed." };
    case "unpause": return { right: "author", label: "Unpause", request: { method: "POST", path: `${path}/unpause`, body: {} }, command, primary: true };
    case "trigger": return { right: "author", label: "Run now", request: { method: "POST", path: `${path}/trigger`, body: {} }, command };
    case "delete": return { right: "author", label: "Delete", request: { method: "DELETE", path }, command, danger: true, consequence: "No further run is started, and a run that it waits for is cancelled." };
  }
};

export function Schedules() {
  const { value, error, again } = useLoaded((s) => read<ScheduleList>("v1/schedules", { limit: 500 }, s), [], (_, r) => r.kind.startsWith("run.") || r.kind.startsWith("wait."), 1500);
  const [making, make] = useState(false);
  return (
    <>
      <h1>Schedules</h1>
      <p class="row"><button type="button" disabled={!!denied("author")} title={denied("author")} onClick={() => make(true)}>Make a schedule…</button></p>
      <Refusal error={error} />
      {value?.schedules.length === 0 && <Empty>No schedule yet. One starts runs by a cron expression or at an interval.</Empty>}
      <div class="cards">{value?.schedules.map((s) => <One key={s.run_id} of={s} again={again} />)}</div>
      {making && <Make close={() => make(false)} done={() => { make(false); again(); }} />}
    </>
  );
}

function One({ of: s, again }: { of: Schedule; again: () => void }) {
  const live = s.status === "waiting" || s.status === "running" || s.status === "paused";
  const late = live && s.status !== "paused" && given(s.due) && Date.parse(s.due) < now.value - 30_000;
  const c = s.counts;
  return (
    <section class="card" aria-label={`Schedule ${s.spec.name}`}>
      <h2>{s.spec.name} <Status of={s.status} /></h2>
      <p>{s.spec.cron ? <><code>{s.spec.cron}</code> in {s.spec.time_zone || "UTC"}</> : <>every {s.spec.interval}</>} starts <a href={href(["workflows", s.spec.workflow])}>{s.spec.workflow}</a>.</p>
      <dl class="facts">
        <dt>Next</dt><dd>{given(s.due) ? <><Time at={s.due} /> <span class="faint">({moment(s.due)})</span>{late && <strong class="bad"> late</strong>}</> : "never"}</dd>
        {live && <><dt>Then</dt><dd><Times name={s.spec.name} due={s.due} /></dd></>}
        <dt>Last</dt><dd>{s.last ? <><Time at={s.last.time} /> {s.last.run_id && <RunLink id={s.last.run_id} />} <Status of={s.last.status} />{s.last.error && ` ${s.last.error.message}`}</> : "none yet"}</dd>
        <dt>So far</dt><dd>{c.started} started, {c.completed} completed, {c.failed} failed, {c.skipped} skipped, {c.missed} missed</dd>
        {s.refused && <><dt>Refused</dt><dd>{s.refused}</dd></>}
        {s.error && <><dt>Error</dt><dd>{s.error.message}</dd></>}
      </dl>
      <p class="row">
        {live && <Act of={change("trigger", s)} done={again} />}
        {live && <Act of={change(s.status === "paused" ? "unpause" : "pause", s)} done={again} />}
        <a href={href(["runs"], { q: `label:schedule=${s.spec.name}` })}>Its runs</a>
        {live && <Act of={change("delete", s)} done={again} />}
      </p>
    </section>
  );
}

/** Times are the next ten, as the clock says in the schedule's zone. */
function Times({ name, due }: { name: string; due?: string }) {
  const [open, setOpen] = useState(false);
  const { value, error } = useLoaded((s) => (open ? read<ScheduleTimes>(`v1/schedules/${segment(name)}/times`, {}, s) : Promise.resolve(undefined)), [name, open, due]);
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>the next ten</summary>
      <Refusal error={error} />
      {value && (value.times.length === 0 ? <p class="faint">None; it has ended.</p>
        : <ol class="times">{value.times.map((t) => <li key={t}><Time at={t} /> <span class="faint">{new Date(t).toLocaleString(undefined, { timeZone: value.time_zone, weekday: "short", year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" })}</span></li>)}</ol>)}
    </details>
  );
}

function Make({ close, done }: { close: () => void; done: () => void }) {
  const flows = useLoaded((s) => read<FlowList>("v1/workflows", {}, s), []);
  const [spec, set] = useState({ name: "", workflow: "", cron: "", interval: "", time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC" });
  const [input, setInput] = useState<Json | undefined>();
  const [error, setError] = useState<unknown>();
  const request = (): Request => ({
    method: "POST", path: "v1/schedules",
    body: { name: spec.name, workflow: spec.workflow, ...(spec.interval ? { interval: spec.interval } : { cron: spec.cron, time_zone: spec.time_zone }), ...(input !== undefined && { input }) },
  });
  const send = async (e: Event) => {
    e.preventDefault();
    try {
      await call(request());
      done();
    } catch (x) {
      setError(x);
    }
  };
  const text = (name: keyof typeof spec, label: string, hint?: string) => (
    <label class="field">{label} <input type="text" value={spec[name]} onInput={(e) => set({ ...spec, [name]: e.currentTarget.value })} />{hint && <p class="hint">{hint}</p>}</label>
  );
  return (
    <Dialog title="Make a schedule" close={close}>
      <form onSubmit={send}>
        {text("name", "Name")}
        <label class="field">Workflow <select value={spec.workflow} onChange={(e) => set({ ...spec, workflow: e.currentTarget.value })}><option value="">–</option>{flows.value?.workflows.map((f) => <option key={f.workflow}>{f.workflow}</option>)}</select></label>
        {text("cron", "Cron expression", "minute hour day month weekday, such as 30 7 * * mon-fri")}
        {text("time_zone", "Time zone of the expression")}
        {text("interval", "Or an interval", "such as 15m; then the expression does not count")}
        <label class="field">Input, as JSON <JsonInput value={input} change={setInput} rows={3} /></label>
        <Refusal error={error} />
        <footer><CopyAs request={request} /><button class="primary" disabled={!spec.name || !spec.workflow}>Make it</button></footer>
      </form>
    </Dialog>
  );
}
