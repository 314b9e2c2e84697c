// Sending an event to whoever waits for it, and who does.

import { useState } from "preact/hooks";
import { call, newKey, read, type Request } from "../api/client";
import { print, type Json } from "../api/json";
import type { Event as Sent, WaitPage } from "../api/types";
import { CopyAs, Denied } from "../actions";
import { denied } from "../me";
import { useLoaded } from "../load";
import { eventName } from "../words";
import { Empty, Refusal, RunLink, Time } from "../ui/basics";
import { JsonInput } from "../ui/form";
import { Webhooks } from "./webhooks";

const scopes = [["run", "a run"], ["session", "a session"], ["workflow", "all runs of a workflow"], ["global", "all runs"]] as const;

export function Events() {
  const waits = useLoaded((s) => read<WaitPage>("v1/waits", { kind: "event", limit: 200 }, s), [], (_, r) => r.kind.startsWith("wait."));
  const [scope, setScope] = useState<string>("run");
  const [to, setTo] = useState("");
  const [name, setName] = useState("");
  const [payload, setPayload] = useState<Json | undefined>();
  const [sent, setSent] = useState<Sent[]>([]);
  const [error, setError] = useState<unknown>();
  const [id, setID] = useState(newKey);
  const request = (): Request => ({ method: "POST", path: "v1/events", key: id, body: { scope, ...(scope !== "global" && { scope_id: to }), name, ...(payload !== undefined && { payload }) } });
  const send = async (e: SubmitEvent) => {
    e.preventDefault();
    setError(undefined);
    try {
      const s = await call<Sent>(request());
      setSent((old) => [s, ...old].slice(0, 20));
      setID(newKey());
    } catch (x) {
      setError(x);
    }
  };
  const words = () => ["send", name, ...(payload !== undefined ? [print(payload)] : []), ...(scope === "global" ? ["--global"] : [`--${scope === "workflow" ? "flow" : scope}`, to])];
  return (
    <>
      <h1>Events and webhooks</h1>
      <div class="two">
        <section class="card">
          <h2>Send an event</h2>
          <form onSubmit={send as never}>
            <label class="field">To <select value={scope} onChange={(e) => setScope(e.currentTarget.value)}>{scopes.map(([v, n]) => <option key={v} value={v}>{n}</option>)}</select></label>
            {scope !== "global" && <label class="field">{scope === "run" ? "Run" : scope === "session" ? "Session" : "Workflow"} <input type="text" value={to} onInput={(e) => setTo(e.currentTarget.value)} /></label>}
            <label class="field">Name <input type="text" value={name} onInput={(e) => setName(e.currentTarget.value)} /></label>
            <label class="field">Payload, as JSON <JsonInput value={payload} change={setPayload} /></label>
            <p class="hint">{scope === "run" || scope === "session" ? "It is kept until a wait takes it." : "It reaches the waits that are open now."}</p>
            <Refusal error={error} />
            <Denied right="operate" />
            <p class="row"><button class="primary" disabled={!!denied("operate") || !name || (scope !== "global" && !to)}>Send</button><CopyAs command={words()} request={request} /></p>
          </form>
          {sent.length > 0 && <><h3>Sent</h3><ul class="lines" role="status">{sent.map((s) => <li key={s.event_id}><span>{s.name} to {s.scope} {s.scope_id}</span><code class="clip">{s.event_id}</code></li>)}</ul></>}
        </section>
        <section class="card">
          <h2>Who waits for one</h2>
          <Refusal error={waits.error} />
          {waits.value?.waits.length === 0 && <Empty>No run waits for an event.</Empty>}
          <ul class="lines">{waits.value?.waits.map((w) => (
            <li key={w.wait_id}><span><code>{w.key}</code><br /><span class="faint"><RunLink id={w.run_id} /> of {w.workflow}, since <Time at={w.created_at} /></span></span>
              <button type="button" onClick={() => { const [, s, id] = (w.key ?? "").split(":"); setScope(s || "run"); setTo(id || (s === "run" ? w.run_id : "")); setName(eventName(w.key)); }}>Fill in</button></li>
          ))}</ul>
        </section>
      </div>
      <Webhooks />
    </>
  );
}
