// Removing old runs on purpose: rules, what they would take, and what is kept whatever they say.

import { useRef, useState } from "preact/hooks";
import { call, read, type Request } from "../api/client";
import type { Compacted, FlowList, HoldList, RetentionResult, RetentionRule, Swept } from "../api/types";
import { Act, CopyAs, unhold } from "../actions";
import { useLoaded } from "../load";
import { denied, me } from "../me";
import { Refusal, RunLink, sentence, Status, Time } from "../ui/basics";

interface Rule {
  key: number;
  workflow: string;
  status: string;
  days: string;
}

export function Retention() {
  const why = denied("installation");
  const may = !why && !!me.value;
  const holds = useLoaded((s) => (may ? read<HoldList>("v1/holds", {}, s) : Promise.resolve(undefined)), [may]);
  return (
    <>
      <h1>Retention</h1>
      <p class="faint">Old runs are removed in whole trees: a run with all below it, when the last of them ended long enough ago.</p>
      {why && <p class="denied" role="note">{why}</p>}
      {may && <Rules changed={holds.again} />}
      <section class="card">
        <h2>Held</h2>
        <p class="faint">What is held is not deleted by anybody, by no rule and no command. A hold is set on the page of its run.</p>
        <Refusal error={holds.error} />
        {holds.value?.holds.length === 0 && <p class="faint">None.</p>}
        <ul class="lines" aria-label="Holds">{holds.value?.holds.map((h) => (
          <li key={h.run_id}>
            <span><RunLink id={h.run_id} /> {h.reason || <span class="faint">no reason was given</span>}<br /><span class="faint">by {h.actor}, <Time at={h.at} /></span></span>
            <Act of={unhold(h.run_id)} done={holds.again} />
          </li>
        ))}</ul>
      </section>
      {may && <Space />}
    </>
  );
}

/** Space gives back what removed runs have left: artifacts that nothing names, and room in the file. */
function Space() {
  const [said, say] = useState("");
  return (
    <section class="card" aria-label="Space">
      <h2>Space</h2>
      <p class="faint">Runs that were removed leave artifacts that nothing names any more, and empty room in the file.</p>
      <p class="row">
        <Act of={{
          label: "Remove unused artifacts", right: "installation", danger: true, command: ["retention", "gc", "--older", "168h"], request: { method: "POST", path: "v1/artifacts/sweep", body: { older: "168h" } },
          consequence: "Artifacts that were put a week ago or earlier, and that no run and no document names any more, go for good. All stores that share the artifacts must be this one.",
        }} done={(answer) => { const swept = answer as Swept; say(`${swept.removed} artifacts removed, ${swept.kept} kept.`); }} />
        <Act of={{
          label: "Compact the store", right: "installation", command: ["compact"], request: { method: "POST", path: "v1/compact" },
          consequence: "A SQLite file is written anew: commits wait meanwhile, and the disk needs room for two more of it.",
        }} done={(answer) => { const done = answer as Compacted; say(`The store has ${done.after} bytes; it had ${done.before}.`); }} />
      </p>
      {said && <p class="decided own" role="status">{said}</p>}
    </section>
  );
}

const trees = (n: number) => (n === 1 ? "one tree" : `${n} trees`);

function Rules({ changed }: { changed: () => void }) {
  const flows = useLoaded((s) => read<FlowList>("v1/workflows", {}, s), []);
  const names = [...new Set((flows.value?.workflows ?? []).map((f) => f.workflow))].sort();
  const next = useRef(1);
  const [rules, setRules] = useState<Rule[]>([{ key: 0, workflow: "", status: "", days: "90" }]);
  const [archive, setArchive] = useState(false);
  const [limit, setLimit] = useState("100");
  const [seen, see] = useState<{ text: string; would: RetentionResult }>(); // what was asked, and what would go
  const [did, done] = useState<RetentionResult>();
  const [error, setError] = useState<unknown>();
  const asked = rules.map((r): RetentionRule => ({ after: `${Number(r.days) * 24}h`, ...(r.workflow && { workflow: r.workflow }), ...(r.status && { status: r.status as RetentionRule["status"] }) }));
  const body = { rules: asked, ...(archive && { archive }), limit: Number(limit) };
  const text = JSON.stringify(body);
  const valid = rules.length > 0 && rules.every((r) => Number(r.days) > 0) && Number(limit) >= 1;
  const would = seen?.text === text ? seen.would : undefined; // of these very rules
  const request = (): Request => ({ method: "POST", path: "v1/retention", body });
  const words = (...more: string[]) => (asked.length === 1 ? ["retention", "apply", "--after", asked[0].after, ...(asked[0].workflow ? ["--flow", asked[0].workflow] : []), ...(asked[0].status ? ["--status", asked[0].status] : []), ...(archive ? ["--archive", "artifacts"] : []), "--limit", limit, ...more] : undefined);
  const dry = (): Request => ({ ...request(), body: { ...body, dry_run: true } });
  const look = async (e: Event) => {
    e.preventDefault();
    setError(undefined);
    done(undefined);
    try {
      see({ text, would: await call<RetentionResult>(dry()) });
    } catch (x) {
      setError(x);
    }
  };
  const change = (key: number, to: Partial<Rule>) => setRules(rules.map((r) => (r.key === key ? { ...r, ...to } : r)));
  const runs = would?.removed.reduce((n, t) => n + t.runs, 0) ?? 0;
  return (
    <section class="card">
      <h2>Remove old runs</h2>
      <form onSubmit={look}>
        {rules.map((r, i) => (
          <fieldset key={r.key} class="rule">
            <legend>Rule {i + 1}</legend>
            <div class="row">
              <label>Workflow <select value={r.workflow} onChange={(e) => change(r.key, { workflow: e.currentTarget.value })}><option value="">any</option>{names.map((n) => <option key={n}>{n}</option>)}</select></label>
              <label>that is <select value={r.status} onChange={(e) => change(r.key, { status: e.currentTarget.value })}><option value="">at its end</option>{["completed", "failed", "cancelled"].map((s) => <option key={s}>{s}</option>)}</select></label>
              <label>and ended <input type="text" inputMode="decimal" size={8} value={r.days} onInput={(e) => change(r.key, { days: e.currentTarget.value.trim() })} aria-label="Days ago" /> days ago</label>
              {rules.length > 1 && <button type="button" class="quiet" aria-label={`Remove rule ${i + 1}`} onClick={() => setRules(rules.filter((x) => x.key !== r.key))}>✕</button>}
            </div>
          </fieldset>
        ))}
        <p class="row"><button type="button" class="quiet" onClick={() => setRules([...rules, { key: next.current++, workflow: "", status: "", days: "90" }])}>Add a rule</button></p>
        <p><label class="check"><input type="checkbox" checked={archive} onChange={(e) => setArchive(e.currentTarget.checked)} /> keep an export of each tree as an artifact before</label></p>
        <p class="row"><label>At most <input type="text" inputMode="numeric" size={5} value={limit} onInput={(e) => setLimit(e.currentTarget.value.trim())} aria-label="At most so many trees" /> trees at a time</label></p>
        <Refusal error={error} />
        <p class="row"><button class="primary" disabled={!valid}>Look what would go</button><CopyAs command={words("--dry-run")} request={dry} /></p>
      </form>
      {would && (
        <div role="status">
          <p class="lead">{would.removed.length === 0 ? "Nothing would go." : `${trees(would.removed.length)} with ${runs === 1 ? "one run" : `${runs} runs`} would go${would.more ? ", and there are more" : ""}.`}</p>
          <p class="faint">{sentence([would.held > 0 && `${trees(would.held)} would stay for a hold`, would.active > 0 && `${trees(would.active)} would stay for a run that has not ended`].filter(Boolean).join(", "))}</p>
          {would.removed.length > 0 && (
            <>
              <div class="scroll tall" tabIndex={0} role="region" aria-label="What would go">
                <table class="list"><thead><tr><th>First run</th><th>Workflow</th><th>Status</th><th>Ended</th><th>Runs</th></tr></thead>
                  <tbody>{would.removed.map((t) => <tr key={t.run_id}><td><RunLink id={t.run_id} /></td><td>{t.workflow}</td><td><Status of={t.status} /></td><td><Time at={t.ended_at} /></td><td>{t.runs}</td></tr>)}</tbody></table>
              </div>
              <p><Act of={{
                label: `Remove ${trees(would.removed.length)}`, right: "installation", danger: true, command: words(), request: request(),
                consequence: `${runs === 1 ? "One run goes" : `${runs} runs go`} for good, with ledger, vars and output; this cannot be undone. ${archive ? "An export of each tree is kept as an artifact, and can be imported again." : "No export of them is kept."} Where the server signs checkpoints, a tombstone keeps the proof of what they were.`,
              }} done={(answer) => { done(answer as RetentionResult); see(undefined); changed(); }} /></p>
            </>
          )}
        </div>
      )}
      {did && <div class="decided own" role="status"><p>{did.removed.length === 0 ? "Nothing was removed" : `${trees(did.removed.length)} with ${did.removed.reduce((n, t) => n + t.runs, 0)} runs removed`}{did.more && "; there are more"}.</p>
        {did.removed.some((t) => t.archive) && <ul>{did.removed.map((t) => t.archive && <li key={t.run_id}><span class="mono wrap">{t.run_id}</span> is the artifact <span class="mono wrap">{t.archive}</span></li>)}</ul>}</div>}
    </section>
  );
}
