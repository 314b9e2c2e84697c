// Who is told what happens, what became of each message, and who may tell us.

import { useState } from "preact/hooks";
import { call, newKey, read, root, segment, type Request } from "../api/client";
import type { Hook, HookList, MadeWebhook, NewSecret, RunPage, Subscription, WebhookList } from "../api/types";
import { Act, CopyAs } from "../actions";
import { useLoaded } from "../load";
import { denied, me } from "../me";
import { Copy, Dialog, Refusal, RunLink, Status, Time } from "../ui/basics";

export function Webhooks() {
  const why = denied("admin");
  const load = <T,>(path: string) => (s: AbortSignal) => (why || !me.value ? Promise.resolve(undefined) : read<T>(path, {}, s));
  const out = useLoaded(load<WebhookList>("v1/webhooks"), [why, me.value]);
  const hooks = useLoaded(load<HookList>("v1/hooks"), [why, me.value]);
  const [making, make] = useState<"out" | "in">();
  const done = () => { make(undefined); out.again(); hooks.again(); };
  if (why) return <section class="card"><h2>Webhooks</h2><p class="denied">{why}</p></section>;
  return (
    <div class="two">
      <section class="card">
        <h2>Hooks: who may send events here</h2>
        <p class="row"><button type="button" onClick={() => make("in")}>Make a hook…</button></p>
        <Refusal error={hooks.error} />
        <ul class="lines">{hooks.value?.hooks.map((h) => (
          <li key={h.hook_id}><span><strong>{h.name}</strong> to {h.scope} {h.scope_id} <span class="faint">({h.style})</span><br /><code>{new URL(`hooks/${h.hook_id}`, root).href}</code> <Copy text={new URL(`hooks/${h.hook_id}`, root).href} /></span>
            <Act of={{ label: "Delete", right: "admin", danger: true, command: ["hook", "rm", h.hook_id], request: { method: "DELETE", path: `v1/hooks/${segment(h.hook_id)}` }, consequence: "Requests to its address are refused from then on." }} done={hooks.again} /></li>
        ))}</ul>
        {hooks.value?.hooks.length === 0 && <p class="faint">None. A hook is an address that takes signed requests and makes events of them.</p>}
      </section>
      <section class="card">
        <h2>Webhooks: who is told</h2>
        <p class="row"><button type="button" onClick={() => make("out")}>Make a webhook…</button></p>
        <Refusal error={out.error} />
        {out.value?.webhooks.length === 0 && <p class="faint">None. A webhook gets a signed message when a run asks somebody or ends.</p>}
        {out.value?.webhooks.map((w) => <One key={w.subscription_id} of={w} again={out.again} />)}
      </section>
      {making === "out" && <Make close={done} />}
      {making === "in" && <MakeHook close={done} />}
    </div>
  );
}

function One({ of: w, again }: { of: Subscription; again: () => void }) {
  const path = `v1/webhooks/${segment(w.subscription_id)}`;
  const sent = useLoaded((s) => read<RunPage>("v1/runs", { q: `flow:bide.webhook label:bide.webhook=${w.subscription_id}`, internal: true, limit: 20 }, s), [w.subscription_id], (_, r) => r.kind.startsWith("run.") || r.kind.startsWith("effect."), 1500);
  const [secret, setSecret] = useState("");
  return (
    <article class="webhook">
      <h3><code>{w.url}</code></h3>
      <p class="faint">{w.types?.join(", ")}{!!w.workflows?.length && ` of ${w.workflows.join(", ")}`} · made <Time at={w.created_at} />{w.created_by && ` by ${w.created_by}`}</p>
      {w.disabled && <p class="bad">Nothing is sent any more: {w.disabled}</p>}
      {secret && <p class="command"><code>{secret}</code> <Copy text={secret} /> <span class="faint">shown this once</span></p>}
      <p class="row">
        <Act of={{ label: "New secret", right: "admin", command: ["webhook", "rotate", w.subscription_id], request: { method: "POST", path: `${path}/rotate`, body: {} }, consequence: "The secret before it also signs for a day, so that the receiver can change over." }} done={(a) => setSecret((a as NewSecret).secret)} />
        <Act of={{ label: "Delete", right: "admin", danger: true, command: ["webhook", "rm", w.subscription_id], request: { method: "DELETE", path }, consequence: "Nothing more is sent to it." }} done={again} />
      </p>
      <details open>
        <summary>Deliveries</summary>
        <Refusal error={sent.error} />
        {sent.value?.runs.length === 0 && <p class="faint">Nothing was sent yet.</p>}
        <ul class="lines">{sent.value?.runs.map((r) => (
          <li key={r.run_id}><span><RunLink id={r.run_id} /> <Status of={r.status} /> <Time at={r.updated_at} /></span>
            {["completed", "failed", "cancelled"].includes(r.status) && <Act of={{ label: "Send again", right: "admin", command: ["webhook", "redeliver", r.run_id], request: { method: "POST", path: `v1/messages/${segment(r.run_id)}/redeliver`, body: {} } }} done={sent.again} />}</li>
        ))}</ul>
      </details>
    </article>
  );
}

const types = ["wait.opened", "run.completed", "run.failed", "run.cancelled", "run.started", "wait.resolved", "step.failed"];

function Make({ close }: { close: () => void }) {
  const [url, setURL] = useState("");
  const [wanted, want] = useState(new Set(types.slice(0, 4)));
  const [made, setMade] = useState<MadeWebhook>();
  const [error, setError] = useState<unknown>();
  const [key] = useState(newKey);
  const request = (): Request => ({ method: "POST", path: "v1/webhooks", key, body: { url, types: [...wanted] } });
  const send = async (e: Event) => {
    e.preventDefault();
    try {
      setMade(await call<MadeWebhook>(request()));
    } catch (x) {
      setError(x);
    }
  };
  return (
    <Dialog title="Make a webhook" close={close}>
      {made ? <Secret text={made.secret} close={close} /> : (
        <form onSubmit={send}>
          <label class="field">Address <input type="url" value={url} onInput={(e) => setURL(e.currentTarget.value)} placeholder="https://example.com/bide" /></label>
          <fieldset><legend>Tell it of</legend>{types.map((t) => (
            <label key={t} class="check"><input type="checkbox" checked={wanted.has(t)} onChange={(e) => { const to = new Set(wanted); if (e.currentTarget.checked) to.add(t); else to.delete(t); want(to); }} /> {t}</label>
          ))}</fieldset>
          <Refusal error={error} />
          <footer><CopyAs request={request} /><button class="primary" disabled={!url}>Make it</button></footer>
        </form>
      )}
    </Dialog>
  );
}

function Secret({ text, close }: { text: string; close: () => void }) {
  return <><p>This is its secret, shown this once. Whoever receives verifies with it.</p><p class="command"><code>{text}</code> <Copy text={text} /></p><footer><button type="button" class="primary" onClick={close}>Done</button></footer></>;
}

function MakeHook({ close }: { close: () => void }) {
  const [spec, set] = useState({ name: "", scope: "session", scope_id: "", style: "standard" });
  const [made, setMade] = useState<Hook>();
  const [error, setError] = useState<unknown>();
  const [key] = useState(newKey);
  const request = (): Request => ({ method: "POST", path: "v1/hooks", key, body: spec });
  const send = async (e: Event) => {
    e.preventDefault();
    try {
      setMade(await call<Hook>(request()));
    } catch (x) {
      setError(x);
    }
  };
  return (
    <Dialog title="Make a hook" close={close}>
      {made ? <Secret text={made.secret ?? ""} close={close} /> : (
        <form onSubmit={send}>
          <label class="field">Name of its events <input type="text" value={spec.name} onInput={(e) => set({ ...spec, name: e.currentTarget.value })} /></label>
          <label class="field">To <select value={spec.scope} onChange={(e) => set({ ...spec, scope: e.currentTarget.value })}>{["run", "session", "workflow", "global"].map((s) => <option key={s}>{s}</option>)}</select></label>
          {spec.scope !== "global" && <label class="field">Which <input type="text" value={spec.scope_id} onInput={(e) => set({ ...spec, scope_id: e.currentTarget.value })} /></label>}
          <label class="field">How requests are signed <select value={spec.style} onChange={(e) => set({ ...spec, style: e.currentTarget.value })}>{["standard", "github", "stripe"].map((s) => <option key={s}>{s}</option>)}</select></label>
          <Refusal error={error} />
          <footer><CopyAs request={request} /><button class="primary" disabled={!spec.name}>Make it</button></footer>
        </form>
      )}
    </Dialog>
  );
}
