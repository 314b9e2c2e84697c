// How the server is, how the pages look, and what the keys do.

import { useState } from "preact/hooks";
import { call, newKey, read, root, segment, type Request } from "../api/client";
import type { Health, MadeToken, RunPage, ScheduleList, SessionList, TokenList, WorkerList } from "../api/types";
import { Act, CopyAs } from "../actions";
import { useLoaded } from "../load";
import { denied, me } from "../me";
import { theme, type Theme } from "../theme";
import { given, now, relative } from "../time";
import { Copy, Dialog, Refusal, Time } from "../ui/basics";
import { Checkpoints, Moving } from "./moving";

export function Settings() {
  const ready = useLoaded((s) => read<Health>("readyz", {}, s), [], () => false);
  const about = useLoaded(async (s) => (await read<{ info: { version: string } }>("openapi.json", {}, s)).info.version, []);
  return (
    <>
      <h1>Settings</h1>
      <div class="cards stacked">
        <Me />
        <Users />
        <Tokens />
        <section class="card">
          <h2>Server</h2>
          <Refusal error={ready.error} />
          <dl class="facts">
            <dt>Address</dt><dd>{root.href}</dd>
            <dt>Version</dt><dd>{about.value}</dd>
            <dt>Readiness</dt><dd>{ready.value && `${ready.value.status}${ready.value.detail ? `: ${ready.value.detail}` : ""}`}</dd>
          </dl>
          <p class="row"><button type="button" onClick={ready.again}>Check again</button><a href={new URL("openapi.json", root).href}>API reference (OpenAPI)</a><a href="https://pkg.go.dev/github.com/bide-dev/bide" rel="noreferrer">Documentation</a><a href={new URL("metrics", root).href}>Metrics</a></p>
        </section>
        <Doctor />
        <Checkpoints />
        <Moving />
        <section class="card">
          <h2>Appearance</h2>
          <label class="field">Theme <select value={theme.value} onChange={(e) => (theme.value = e.currentTarget.value as Theme)}><option value="system">as the system has it</option><option value="light">light</option><option value="dark">dark</option></select></label>
        </section>
        <section class="card">
          <h2>Keys</h2>
          <dl class="facts"><dt><kbd>/</kbd></dt><dd>to the search</dd><dt><kbd>n</kbd></dt><dd>next in the inbox</dd><dt><kbd>a</kbd></dt><dd>approve</dd><dt><kbd>e</kbd></dt><dd>edit the arguments</dd><dt><kbd>r</kbd></dt><dd>reject</dd><dt><kbd>x</kbd></dt><dd>respond</dd></dl>
        </section>
      </div>
    </>
  );
}

function Me() {
  const who = me.value;
  if (!who) return null;
  return (
    <section class="card">
      <h2>You</h2>
      <dl class="facts"><dt>In the ledger</dt><dd>{who.actor}</dd><dt>Roles</dt><dd>{who.roles.join(", ")}</dd><dt>May</dt><dd>{who.rights.join(", ")}</dd>{who.namespace && <><dt>Namespace</dt><dd>{who.namespace}</dd></>}</dl>
    </section>
  );
}

/** Users are those who are signed in with a browser; administrators can sign them out. */
function Users() {
  const may = !denied("admin");
  const { value, error, again } = useLoaded((s) => (may && me.value ? read<SessionList>("v1/sessions", {}, s) : Promise.resolve(undefined)), [may, me.value]);
  const sessions = [...(value?.sessions ?? [])].sort((a, b) => a.actor.localeCompare(b.actor) || b.created_at.localeCompare(a.created_at));
  return (
    <section class="card">
      <h2>Users</h2>
      {!may && <p class="denied">{denied("admin")}</p>}
      <Refusal error={error} />
      {value && sessions.length === 0 && <p class="faint">Nobody is signed in with a browser. Programs come with tokens.</p>}
      <ul class="lines" aria-label="Users">{sessions.map((s, i) => (
        <li key={s.session_id}>
          <span>{sessions[i - 1]?.actor !== s.actor && <><strong>{s.actor}</strong> <span class="faint">{[...s.roles, ...(s.groups ?? [])].join(", ")}{s.namespace && `, in ${s.namespace}`}</span><br /></>}
            <span class="faint">{s.token_id ? "signed in with a token" : "logged in"} <Time at={s.created_at} />, until <Time at={s.expires_at} />{s.current && "; this browser"}</span></span>
          <Act of={{ label: "Sign out", right: "admin", danger: true, request: { method: "DELETE", path: `v1/sessions/${segment(s.session_id)}` }, consequence: s.current ? "This browser is signed out at once." : `A browser of ${s.actor} is signed out at once. Whoever may still log in can do so again.` }} done={again} />
        </li>
      ))}</ul>
      {sessions.length > 0 && <p class="faint">A session that was begun with a token ends with it.</p>}
    </section>
  );
}

const roles = ["viewer", "operator", "approver", "author", "admin", "worker"];

/** Tokens lets administrators make and revoke them. A token is shown once. */
function Tokens() {
  const may = !denied("admin");
  const { value, error, again } = useLoaded((s) => (may && me.value ? read<TokenList>("v1/tokens", {}, s) : Promise.resolve(undefined)), [may, me.value]);
  const [making, make] = useState(false);
  return (
    <section class="card">
      <h2>Tokens</h2>
      {!may && <p class="denied">{denied("admin")}</p>}
      <Refusal error={error} />
      {may && <p><button type="button" onClick={() => make(true)}>Make a token…</button></p>}
      <ul class="lines">{value?.tokens.map((t) => (
        <li key={t.token_id}>
          <span><strong>{t.name}</strong> <span class="faint">{t.actor}, {t.roles?.join(", ")}{t.namespace && `, in ${t.namespace}`}<br />made <Time at={t.created_at} />{given(t.expires_at) && <>, until <Time at={t.expires_at} /></>}, used {given(t.last_used_at) ? <Time at={t.last_used_at} /> : "never"}</span></span>
          {given(t.revoked_at) ? <span class="faint">revoked <Time at={t.revoked_at} /></span>
            : <Act of={{ label: "Revoke", right: "admin", danger: true, command: ["token", "revoke", t.token_id], request: { method: "DELETE", path: `v1/tokens/${segment(t.token_id)}` }, consequence: "Whoever uses it is locked out at once. It stays on the list." }} done={again} />}
        </li>
      ))}</ul>
      {making && <MakeToken close={() => { make(false); again(); }} />}
    </section>
  );
}

function MakeToken({ close }: { close: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const [actor, setActor] = useState("");
  const [days, setDays] = useState("90");
  const [made, setMade] = useState<MadeToken>();
  const [error, setError] = useState<unknown>();
  const [key] = useState(newKey);
  const request = (): Request => ({ method: "POST", path: "v1/tokens", key, body: { name, roles: [role], ...(actor && { actor }), ...(days && { expires_at: new Date(Date.now() + Number(days) * 86_400_000).toISOString() }) } });
  const send = async (e: Event) => {
    e.preventDefault();
    try {
      setMade(await call<MadeToken>(request()));
    } catch (x) {
      setError(x);
    }
  };
  return (
    <Dialog title="Make a token" close={close}>
      {made ? (
        <><p>It is shown this once. Keep it where secrets are kept.</p><p class="command"><code>{made.token}</code> <Copy text={made.token} /></p><footer><button type="button" class="primary" onClick={close}>Done</button></footer></>
      ) : (
        <form onSubmit={send}>
          <label class="field">Name <input type="text" value={name} onInput={(e) => setName(e.currentTarget.value)} /></label>
          <label class="field">Role <select value={role} onChange={(e) => setRole(e.currentTarget.value)}>{roles.map((r) => <option key={r}>{r}</option>)}</select></label>
          <label class="field">Who acts with it, in the ledger <input type="text" value={actor} placeholder={`token:${name}`} onInput={(e) => setActor(e.currentTarget.value)} /></label>
          <label class="field">Ends after <select value={days} onChange={(e) => setDays(e.currentTarget.value)}><option value="1">a day</option><option value="90">90 days</option><option value="365">a year</option><option value="">never</option></select></label>
          <Refusal error={error} />
          <footer><CopyAs command={["token", "create", name, "--role", role, ...(actor ? ["--actor", actor] : [])]} request={request} /><button class="primary" disabled={!name}>Make it</button></footer>
        </form>
      )}
    </Dialog>
  );
}

/** Doctor looks for what keeps runs from going on. */
function Doctor() {
  const { value, again } = useLoaded(async (s) => {
    const tried = <T,>(p: Promise<T>) => p.catch((e: unknown) => e as Error);
    const [workers, aside, late] = await Promise.all([
      tried(read<WorkerList>("v1/workers", {}, s)), tried(read<RunPage>("v1/runs", { q: "is:set-aside", limit: 100 }, s)), tried(read<ScheduleList>("v1/schedules", { limit: 500 }, s)),
    ]);
    const said = (what: string, v: unknown, bad: () => string) => ({ what, bad: v instanceof Error ? v.message : bad() });
    return [
      said("A worker is at work", workers, () => ((workers as WorkerList).workers.some((w) => w.alive && !w.drained) ? "" : "none is; runs go on where one works: bide work")),
      said("The store takes calls", workers, () => ((workers as WorkerList).workers.some((w) => (w.here?.errors ?? 0) > 0) ? `${(workers as WorkerList).workers.reduce((n, w) => n + (w.here?.errors ?? 0), 0)} calls of it failed since the start` : "")),
      said("No run is set aside", aside, () => ((aside as RunPage).runs.length ? `${(aside as RunPage).runs.length} are; look at them in Runs` : "")),
      said("No schedule is late", late, () => (late as ScheduleList).schedules.filter((x) => x.status !== "paused" && given(x.due) && Date.parse(x.due) < now.value - 30_000).map((x) => `${x.spec.name} was due ${relative(x.due!)}`).join(", ")),
    ];
  }, []);
  return (
    <section class="card">
      <h2>Doctor</h2>
      <ul class="lines">{value?.map((v) => <li key={v.what}><span><span class={v.bad ? "bad" : "good"} aria-hidden="true">{v.bad ? "✕" : "✓"}</span> {v.what}</span><span class="faint">{v.bad || "yes"}</span></li>)}</ul>
      <p class="row"><button type="button" onClick={again}>Look again</button><span class="faint">On the command line, <code>bide doctor</code> also looks at the configuration and the disk.</span></p>
    </section>
  );
}
