// What can be started: its form, its versions, its graph and source.

import { useState } from "preact/hooks";
import { call, newKey, Problem, read, segment, type Request } from "../api/client";
import { isObject, get, print, type Json } from "../api/json";
import type { Flow, FlowList, Graph, NodeSums, Run, RunPage } from "../api/types";
import { CopyAs, Denied } from "../actions";
import { denied } from "../me";
import { useLoaded } from "../load";
import { go, href } from "../router";
import { given } from "../time";
import { Copy, Dialog, Empty, Refusal, RunLink, Status, Time } from "../ui/basics";
import { initial, JsonInput, SchemaForm } from "../ui/form";
import { merged, RunGraph } from "../run/graph";
import { spans, type Span } from "../stats";

export function Workflows() {
  const { value, error, again } = useLoaded((s) => read<FlowList>("v1/workflows", {}, s), []);
  const [adding, add] = useState(false);
  return (
    <>
      <h1>Workflows</h1>
      <p class="row"><button type="button" disabled={!!denied("author")} title={denied("author")} onClick={() => add(true)}>Publish a flow…</button></p>
      <Refusal error={error} />
      {value?.workflows.length === 0 && <Empty>No workflow can be started yet. Publish a flow document, or run one: <code>bide run examples/refund.yaml</code></Empty>}
      {!!value?.workflows.length && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Table"><table class="list">
          <thead><tr><th>Workflow</th><th>Title</th><th>Version</th><th>Published</th><th></th></tr></thead>
          <tbody>{value.workflows.map((f) => (
            <tr key={f.workflow}>
              <td><a href={href(["workflows", f.workflow])}>{f.workflow}</a></td><td>{f.title}</td><td>{f.label || <code>{f.version.slice(0, 12)}</code>}</td>
              <td>{f.document ? <Time at={f.published_at} /> : "code of the program"}</td><td><a class="button" href={href(["workflows", f.workflow])}>Start…</a></td>
            </tr>
          ))}</tbody>
        </table></div>
      )}
      {adding && <Publish close={() => add(false)} done={again} />}
    </>
  );
}

function Publish({ close, done }: { close: () => void; done: () => void }) {
  const [source, setSource] = useState("");
  const [error, setError] = useState<unknown>();
  const request = (): Request => ({ method: "POST", path: "v1/workflows", body: { source, name: "flow.yaml" } });
  const send = async (e: Event) => {
    e.preventDefault();
    try {
      const f = await call<Flow>(request());
      done();
      go(href(["workflows", f.workflow, f.version]));
    } catch (x) {
      setError(x);
    }
  };
  const file = async (input: HTMLInputElement) => input.files?.[0] && setSource(await input.files[0].text());
  return (
    <Dialog title="Publish a flow" close={close}>
      <form onSubmit={send}>
        <label class="field">A file <input type="file" accept=".yaml,.yml,.json" onChange={(e) => file(e.currentTarget)} /></label>
        <label class="field">Or its text <textarea class="mono" rows={12} spellcheck={false} value={source} onInput={(e) => setSource(e.currentTarget.value)} /></label>
        <Refusal error={error} />
        <footer><CopyAs request={request} /><button class="primary" disabled={!source}>Publish</button></footer>
      </form>
    </Dialog>
  );
}

export function WorkflowPage({ id, version }: { id: string; version?: string }) {
  const path = `v1/workflows/${segment(id)}`;
  const one = `${path}/versions/${segment(version ?? "newest")}`;
  const flow = useLoaded((s) => read<Flow>(one, {}, s), [one]);
  const versions = useLoaded((s) => read<FlowList>(path, {}, s), [path]);
  const graph = useLoaded((s) => read<Graph>(`${one}/graph`, {}, s), [one]);
  const runs = useLoaded((s) => read<RunPage>("v1/runs", { q: `flow:${id}`, limit: 20 }, s), [id], (_, r) => r.kind.startsWith("run."));
  const f = flow.value;
  return (
    <>
      <p class="crumbs"><a href={href(["workflows"])}>Workflows</a></p>
      <h1>{f?.title || id}</h1>
      <p class="faint mono">{id}{f && ` · ${f.label || ""} ${f.version.slice(0, 16)}`}</p>
      <Refusal error={flow.error} />
      {f && (
        <div class="two">
          <div>
            <Start key={f.version} flow={f} past={runs.value} />
            <section class="card">
              <h2>Latest runs</h2>
              {runs.value?.runs.length === 0 && <p class="faint">None yet.</p>}
              <ul class="lines">{runs.value?.runs.map((r) => <li key={r.run_id}><span><RunLink id={r.run_id} /> {r.key}</span><span><Status of={r.status} /> <Time at={r.created_at} /></span></li>)}</ul>
              <p><a href={href(["runs"], { q: `flow:${id}` })}>All runs</a></p>
            </section>
          </div>
          <div>
            <section class="card"><h2>Graph</h2>{graph.value ? <Overview flow={f} shape={graph.value} versions={versions.value?.workflows ?? []} /> : <Refusal error={graph.error} />}</section>
            {!!f.warnings?.length && <section class="card"><h2>Warnings</h2><ul>{f.warnings.map((w, i) => <li key={i}>{w}</li>)}</ul></section>}
            {(versions.value?.workflows.length ?? 0) > 1 && (
              <section class="card"><h2>Versions</h2><ul class="lines">{versions.value!.workflows.map((v) => (
                <li key={v.version}><a class="mono" aria-current={v.version === f.version ? "page" : undefined} href={href(["workflows", id, v.version])}>{v.label || ""} {v.version.slice(0, 16)}</a><span>{v.newest && "newest "}{given(v.published_at) && <Time at={v.published_at} />}</span></li>
              ))}</ul></section>
            )}
            {f.source && <details class="card"><summary>Source</summary><Copy text={f.source} /><pre class="scroll" tabIndex={0}>{f.source}</pre></details>}
          </div>
        </div>
      )}
    </>
  );
}

const none: never[] = [];

/** Overview is the graph with what runs did at each node, or beside another version. */
function Overview({ flow, shape, versions }: { flow: Flow; shape: Graph; versions: Flow[] }) {
  const [other, compare] = useState("");
  const [over, setOver] = useState<Span>("168h");
  const path = `v1/workflows/${segment(flow.workflow)}/versions`;
  const sums = useLoaded((s) => read<NodeSums>(`${path}/${segment(flow.version)}/stats`, { from: new Date(Date.now() - spans[over][1]).toISOString() }, s), [flow.version, over], (_, r) => r.kind.startsWith("run."), 5000);
  const before = useLoaded((s) => (other ? read<Graph>(`${path}/${segment(other)}/graph`, {}, s) : Promise.resolve(undefined)), [other]);
  const both = other && before.value ? merged(shape, before.value) : undefined;
  const notes = new Map((sums.value?.nodes ?? []).map((n) => [n.node, { bad: n.failures > 0, text: `${n.visits}×, ${n.failures ? `${((n.failures / n.visits) * 100).toFixed(n.failures / n.visits < 0.1 ? 1 : 0)} % fail` : "none fails"}${n.here ? `, ${n.here} here` : ""}` }]));
  return (
    <>
      <div class="toolbar">
        <label>Runs of the last <select value={over} onChange={(e) => setOver(e.currentTarget.value as Span)}>{Object.entries(spans).map(([s, [name]]) => <option key={s} value={s}>{name}</option>)}</select></label>
        {versions.length > 1 && <label>Compare with <select value={other} onChange={(e) => compare(e.currentTarget.value)}><option value="">no version</option>{versions.filter((v) => v.version !== flow.version).map((v) => <option key={v.version} value={v.version}>{v.label || ""} {v.version.slice(0, 12)}</option>)}</select></label>}
      </div>
      <Refusal error={sums.error ?? before.error} />
      {both && <p role="status">{both.differs.size === 0 ? "Both have the same nodes and ways." : <>{count(both.differs, "added")} in this version, {count(both.differs, "removed")} only in the other one.</>}</p>}
      <RunGraph key={other} shape={both?.shape ?? shape} differs={both?.differs} notes={both ? undefined : notes} records={none} seq={0} select={() => {}} />
      {!both && sums.value && <p class="faint">{sums.value.runs} runs{sums.value.partial && ", those that changed last"}: visits of each node and how many of them failed.</p>}
    </>
  );
}

const count = (differs: Map<string, string>, kind: string) => {
  const keys = [...differs].filter(([, k]) => k === kind).map(([key]) => key);
  const nodes = keys.filter((k) => !k.includes("\n")).length;
  return <strong>{nodes} nodes and {keys.length - nodes} ways {kind === "added" ? "are new" : "are"}</strong>;
};

function Start({ flow, past }: { flow: Flow; past?: RunPage }) {
  const schema = flow.input_schema;
  const [input, setInput] = useState<Json | undefined>(() => initial(schema) ?? {});
  const [key, setKey] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [filled, fill] = useState(0); // makes the fields anew
  const [command] = useState(newKey);
  const request = (): Request => ({ method: "POST", path: "v1/runs", body: { workflow: flow.workflow, version: flow.version, input: input ?? null, ...(key && { key }) }, key: `${command}-${filled}` });
  const send = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    try {
      go(href(["runs", (await call<Run>({ ...request(), key: newKey() })).run_id]));
    } catch (x) {
      setError(x);
    } finally {
      setBusy(false);
    }
  };
  const prefill = async (id: string) => {
    if (!id) return;
    try {
      const run = await read<Run>(`v1/runs/${segment(id)}`);
      setInput(run.vars.input);
      fill(filled + 1);
    } catch (x) {
      setError(x);
    }
  };
  const words = () => ["start", flow.workflow, "--input", print(input ?? null), ...(key ? ["--key", key] : [])];
  return (
    <section class="card">
      <h2>Start a run</h2>
      <form onSubmit={send} class="start">
        {!!past?.runs.length && (
          <label class="field">As in an earlier run <select onChange={(e) => prefill(e.currentTarget.value)}><option value="">–</option>{past.runs.map((r) => <option key={r.run_id} value={r.run_id}>{new Date(r.created_at).toLocaleString()} {r.key || r.run_id.slice(0, 8)} ({r.status})</option>)}</select></label>
        )}
        <div key={filled}>
          {isObject(get(schema ?? null, "properties"))
            ? <SchemaForm schema={schema} value={input} change={setInput} faults={error instanceof Problem ? error.faults : []} />
            : <label class="field">Input, as JSON <JsonInput value={input} change={setInput} /></label>}
        </div>
        <label class="field">Key <input type="text" value={key} onInput={(e) => setKey(e.currentTarget.value)} /><p class="hint">Optional. The same key gives the same run, however often it is started.</p></label>
        <Refusal error={error} />
        <Denied right="operate" />
        <p class="row"><button class="primary" disabled={busy || !!denied("operate")}>Start</button><CopyAs command={words()} request={request} /></p>
      </form>
    </section>
  );
}
