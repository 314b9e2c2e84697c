// Two runs beside each other, or two records: where they part, and what they have otherwise.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { read, segment } from "../api/client";
import { diff, type Json } from "../api/json";
import type { Rec } from "../api/record";
import type { TraceDiff, TraceSide } from "../api/types";
import { CopyAs } from "../actions";
import { useLoaded } from "../load";
import { put, query } from "../router";
import { doing, titled, told } from "../words";
import { Refusal, RunLink, Status } from "../ui/basics";
import { Changes } from "../ui/json";
import { stateAt } from "../run/inspector";

export function Compare() {
  const of = (name: string) => query.value.get(name) ?? "";
  const [a, b, at, bt] = [of("a"), of("b"), Number(of("at")), Number(of("bt"))];
  const [left, setLeft] = useState(a);
  const [right, setRight] = useState(b);
  const compare = (e: Event) => {
    e.preventDefault();
    put({ a: left.trim(), b: right.trim(), ...((left.trim() !== a || right.trim() !== b) && { at: undefined, bt: undefined }) });
  };
  return (
    <>
      <h1>Compare</h1>
      <form class="row search low" onSubmit={compare}>
        <label class="grow">One run <input type="text" class="mono" value={left} onInput={(e) => setLeft(e.currentTarget.value)} /></label>
        <label class="grow">Another one <input type="text" class="mono" value={right} onInput={(e) => setRight(e.currentTarget.value)} /></label>
        <button class="primary" disabled={!left.trim() || !right.trim()}>Compare</button>
        {a && b && <CopyAs command={a !== b ? ["diff", a, b] : undefined} request={() => ({ method: "GET", path: `v1/runs/${segment(a)}/diff/${segment(b)}` })} />}
      </form>
      {a && b && at > 0 && bt > 0 && <Records a={a} at={at} b={b} bt={bt} />}
      {a && b && a !== b && <Runs a={a} b={b} />}
    </>
  );
}

/** Records compares the state after a record with that after another one. */
function Records({ a, at, b, bt }: { a: string; at: number; b: string; bt: number }) {
  const { value, error } = useLoaded(async () => {
    const [x, y] = await Promise.all([stateAt(a, at), stateAt(b, bt)]);
    return diff(x.vars as Json, y.vars as Json);
  }, [a, at, b, bt]);
  return (
    <section class="card">
      <h2>Vars after <RunLink id={a} seq={at}>record {at}</RunLink>{a !== b && " of the one"}, and after <RunLink id={b} seq={bt}>record {bt}</RunLink>{a !== b && " of the other"}</h2>
      <Refusal error={error} />
      {value && <Changes of={value} none="They are the same." />}
    </section>
  );
}

function Runs({ a, b }: { a: string; b: string }) {
  const { value: d, error } = useLoaded((s) => read<TraceDiff>(`v1/runs/${segment(a)}/diff/${segment(b)}`, {}, s), [a, b]);
  if (!d) return error ? <Refusal error={error} /> : <p class="faint">Loading…</p>;
  const ends = diff(d.a.output as Json | undefined, d.b.output as Json | undefined);
  return (
    <>
      <div class="cards">
        <Side of={d.a} first={d.first_a as unknown as Rec | undefined}>One</Side>
        <Side of={d.b} first={d.first_b as unknown as Rec | undefined}>Another</Side>
      </div>
      <section class="card after">
        <h2>What they have otherwise</h2>
        <p>{d.fork && <>One was forked from the other after record {d.fork.seq}. </>}
          {d.common === 0 ? "They share no record." : `They share ${d.common === 1 ? "one record" : `${d.common} records`}${d.fork ? " after that" : ", the first ones"}${d.first_a || d.first_b ? ", and part there." : "; none differs."}`} Ids and times do not count.</p>
        <h3>Vars at the end</h3>
        <Changes of={(d.changes ?? []).map((c) => ({ path: c.path, before: c.a as Json | undefined, after: c.b as Json | undefined }))} none="They are the same." />
        {ends.length > 0 && <><h3>Output</h3><Changes of={ends} none="" /></>}
      </section>
    </>
  );
}

function Side({ of: r, first, children }: { of: TraceSide; first?: Rec; children: ComponentChildren }) {
  return (
    <section class="card">
      <h2>{children}: <RunLink id={r.run_id}>{titled(r)}</RunLink></h2>
      <p><Status of={r.status} /> {r.status === "completed" || r.status === "cancelled" ? doing(r) : r.node && `at ${r.node}`}</p>
      <p class="mono faint wrap">{r.run_id}</p>
      {first ? <p>First that differs: <RunLink id={r.run_id} seq={first.seq}>#{first.seq} {first.kind}</RunLink> <span class="faint">{told(first)}</span></p> : <p class="faint">It has no record that the other has otherwise.</p>}
    </section>
  );
}
