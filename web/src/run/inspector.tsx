// One record: what it holds, the effect that it is about with its attempts, what it changed in the vars.

import { useState } from "preact/hooks";
import { read, segment } from "../api/client";
import { diff, get, type Json } from "../api/json";
import type { Rec } from "../api/record";
import type { Run } from "../api/types";
import { denied } from "../me";
import { moment } from "../time";
import { told } from "../words";
import { Copy, Refusal, RunLink, Tabs } from "../ui/basics";
import { Changes, Tree } from "../ui/json";
import { Artifacts, artifactsIn } from "../ui/preview";
import { EffectDetails } from "./effect";
import { Fork } from "./fork";
import { Mark } from "./mark";
import { effectOf } from "./ledger";
import { useLoaded } from "../load";

const views = [["record", "Record"], ["changes", "Changes"], ["state", "State then"]] as const;
const states = new Map<string, Promise<Run>>();

/** stateAt is a run as it was after a record, which never changes. */
export function stateAt(id: string, seq: number): Promise<Run> {
  const key = `${id}\n${seq}`;
  let found = states.get(key);
  if (!found) {
    found = read<Run>(`v1/runs/${segment(id)}`, { at: seq });
    found.catch(() => states.delete(key));
    states.set(key, found);
    if (states.size > 60) states.delete(states.keys().next().value!);
  }
  return found;
}

export function Inspector({ id, records, seq, head, select, marked }: { id: string; records: Rec[]; seq: number; head: string; select: (seq: number) => void; marked: () => void }) {
  const [view, setView] = useState<(typeof views)[number][0]>("record");
  const [doing, begin] = useState<"fork" | "mark">();
  const r = records[seq - 1];
  if (!r) return <p class="faint">Choose a record.</p>;
  const hash = records[seq]?.prev ?? (seq === records.length ? head : "");
  return (
    <section class="inspector card" aria-label={`Record ${seq}`}>
      <header>
        <h3><span class="faint">#{seq}</span> {r.kind}</h3>
        <span>
          <button type="button" class="quiet" disabled={!!denied("operate")} title={denied("operate")} onClick={() => begin("mark")}>Bookmark…</button>
          <button type="button" class="quiet" disabled={!!denied("operate")} title={denied("operate")} onClick={() => begin("fork")}>Fork from here…</button>
        </span>
      </header>
      <p>{told(r)}</p>
      <dl class="facts">
        <dt>At</dt><dd>{moment(r.at)}</dd>
        {r.node && <><dt>Node</dt><dd>{r.node}, step {r.step}</dd></>}
        {r.actor && <><dt>By</dt><dd>{r.actor}</dd></>}
        {r.reason && <><dt>Reason</dt><dd>{r.reason}</dd></>}
        {r.command && <><dt>Command</dt><dd class="mono clip">{r.command}</dd></>}
        {hash && <><dt>Hash</dt><dd class="mono clip" title={hash}>{hash.slice(0, 16)}… <Copy text={hash} /></dd></>}
        <dt>Before</dt><dd>{seq > 1 ? <button type="button" class="link mono" onClick={() => select(seq - 1)} title={r.prev}>{r.prev.slice(0, 16)}…</button> : "the first"}</dd>
      </dl>
      <Tabs label="What to show of the record" of={views} value={view} choose={setView} />
      {view === "record" && <Record key={seq} id={id} records={records} record={r} select={select} />}
      {view === "changes" && <Changed id={id} seq={seq} />}
      {view === "state" && <State id={id} seq={seq} />}
      {doing === "fork" && <Fork id={id} seq={seq} close={() => begin(undefined)} />}
      {doing === "mark" && <Mark id={id} seq={seq} close={() => begin(undefined)} done={marked} />}
    </section>
  );
}

function Record({ id, records, record, select }: { id: string; records: Rec[]; record: Rec; select: (seq: number) => void }) {
  const about = effectOf(records, record);
  const same = about ? records.slice(about.planned.seq).filter((x) => x.step === record.step && effectOf(records, x)?.index === about.index).slice(0, 50) : [];
  const ended = same.find((x) => x.kind === "effect.completed");
  const result = ended?.kind === "effect.completed" ? ended.data.result : undefined;
  const child = record.kind === "wait.opened" && record.data.kind === "child" ? String(get(record.data.details ?? null, "run_id") ?? "") : "";
  const own = record.kind !== "effect.completed" && record.kind !== "effect.started" && record.data !== undefined;
  return (
    <>
      {about?.effect && <EffectDetails run={id} planned={about.planned.seq} type={about.effect.type} payload={about.effect.payload} result={result} />}
      {own && <Tree value={record.data as unknown as Json} label="This record" />}
      {record.kind === "run.completed" && <Artifacts run={id} of={artifactsIn(record.data.output)} />}
      {child && <p>Run below it: <RunLink id={child} /></p>}
      {same.length > 1 && (
        <>
          <h4>This effect, from start to end</h4>
          <ol class="attempts">{same.map((x) => <li key={x.seq}><button type="button" class="link" aria-current={x.seq === record.seq || undefined} onClick={() => select(x.seq)}>#{x.seq} {x.kind}</button> <span class="faint">{told(x)}</span></li>)}</ol>
        </>
      )}
    </>
  );
}

function Changed({ id, seq }: { id: string; seq: number }) {
  const { value, error } = useLoaded(async () => {
    const [before, after] = await Promise.all([seq > 1 ? stateAt(id, seq - 1) : undefined, stateAt(id, seq)]);
    return diff(before?.vars ?? {}, after.vars);
  }, [id, seq]);
  return <><Refusal error={error} />{value && <Changes of={value} none="This record changes nothing in the vars." />}</>;
}

function State({ id, seq }: { id: string; seq: number }) {
  const { value, error } = useLoaded(() => stateAt(id, seq), [id, seq]);
  return <><Refusal error={error} />{value && <Tree value={value.vars as Json} label={`Vars after record ${seq}`} />}</>;
}
