// How it goes over time, for those who would rather look than read.

import { put, query } from "../router";
import { Latency, People, Spending, spans, Throughput, type Span } from "../stats";

export function Charts() {
  const wanted = query.value.get("over") ?? "";
  const over = (wanted in spans ? wanted : "24h") as Span;
  const q = query.value.get("q") ?? "";
  return (
    <>
      <h1>Charts</h1>
      <div class="toolbar">
        <div role="group" aria-label="Time">{Object.entries(spans).map(([s, [name]]) => <button key={s} type="button" class="chip" aria-pressed={s === over} onClick={() => put({ over: s })}>{name}</button>)}</div>
        <input type="search" aria-label="Only runs that match" placeholder="flow:refund label:team=ops" value={q} onChange={(e) => put({ q: e.currentTarget.value.trim() })} />
      </div>
      <div class="cards">
        <Throughput over={over} q={q} />
        <Latency over={over} q={q} />
        <People over={over} q={q} />
        <Spending over={over} q={q} />
      </div>
    </>
  );
}
