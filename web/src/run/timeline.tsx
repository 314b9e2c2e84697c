// When things happened: a row per effect, a bar per attempt and per wait; long idle gaps are folded, only rows in sight are drawn.

import { useMemo, useRef, useState } from "preact/hooks";
import type { Rec } from "../api/record";
import { clock, given, now, span } from "../time";
import { useNarrow, useWindow } from "../ui/window";

const kinds = ["work", "waited", "queued", "failed", "lost"] as const;
type Kind = (typeof kinds)[number];
const words: Record<Kind, string> = { work: "at work", waited: "waited", queued: "queued", failed: "failed", lost: "outcome unknown" };

interface Bar {
  kind: Kind;
  from: number;
  to?: number; // open
  seq: number;
  about: string;
}

interface Row {
  name: string;
  step: number;
  bars: Bar[];
}

const builtin = new Set(["ask", "tell", "wait_until", "wait_event", "job", "query_vars", "start_run", "fan_out"]);

/** rowsOf makes rows of records. */
export function rowsOf(records: Rec[], upto: number): Row[] {
  const run: Row = { name: "the run", step: 0, bars: [] };
  const rows = new Map<string, Row>([["run", run]]);
  const open = new Map<string, Bar>(); // by row: attempts, and effects that queue
  const waits = new Map<string, Bar>(); // by wait
  let whole: Bar | undefined; // how the whole run stands: queued before its first step, or paused
  const row = (step: number, effect: number, name?: string): Row => {
    const key = `${step}/${effect}`;
    let r = rows.get(key);
    if (!r) rows.set(key, (r = { name: name ?? `effect ${effect}`, step, bars: [] }));
    return r;
  };
  const begin = (step: number, effect: number, bar: Bar) => {
    row(step, effect).bars.push(bar);
    open.set(`${step}/${effect}`, bar);
  };
  const finish = (key: string, at: number, seq: number, kind?: Kind) => {
    const bar = open.get(key);
    if (!bar) return;
    Object.assign(bar, { to: at, kind: bar.kind === "work" ? kind ?? bar.kind : bar.kind, seq });
    open.delete(key);
  };
  const settle = (at: number, seq: number) => {
    if (whole) Object.assign(whole, { to: at, seq });
    whole = undefined;
  };
  for (const r of records) {
    if (r.seq > upto) break;
    const at = Date.parse(r.at);
    const step = r.step ?? 0;
    switch (r.kind) {
      case "run.started": run.bars.push((whole = { kind: "queued", from: at, seq: r.seq, about: "queued for a worker" })); break;
      case "run.paused": settle(at, r.seq); run.bars.push((whole = { kind: "waited", from: at, seq: r.seq, about: "paused" })); break;
      case "run.unpaused": settle(at, r.seq); break;
      case "run.retried": settle(at, r.seq); run.bars.push({ kind: "work", from: at, to: at, seq: r.seq, about: "retried" }); break;
      case "step.planned": {
        settle(at, r.seq);
        let announced = r.data.announced ?? 0;
        const effects = r.data.plan.effects ?? [];
        if (effects.length === 0) row(step, -1, r.node).bars.push({ kind: "work", from: at, to: at, seq: r.seq, about: "a decision" });
        effects.forEach((e, i) => {
          row(step, i, `${r.node} · ${e.type}`);
          if (builtin.has(e.type)) return;
          begin(step, i, announced-- > 0 ? { kind: "work", from: at, seq: r.seq, about: "attempt 1" } : { kind: "queued", from: at, seq: r.seq, about: "queued for its first attempt" });
        });
        break;
      }
      case "step.failed": row(step, -1, r.node).bars.push({ kind: "failed", from: at, to: at, seq: r.seq, about: r.data.error.message }); break;
      case "effect.started":
        finish(`${step}/${r.data.effect}`, at, r.seq);
        begin(step, r.data.effect, { kind: "work", from: at, seq: r.seq, about: `attempt ${r.data.attempt}` });
        break;
      case "effect.completed":
        if (open.has(`${step}/${r.data.effect}`)) finish(`${step}/${r.data.effect}`, at, r.seq, "work");
        else row(step, r.data.effect).bars.push({ kind: "work", from: at, to: at, seq: r.seq, about: "done at once" });
        break;
      case "effect.failed":
        finish(`${step}/${r.data.effect}`, at, r.seq, "failed");
        if (given(r.data.retry_at)) begin(step, r.data.effect, { kind: "waited", from: at, seq: r.seq, about: "waited to try again" });
        break;
      case "effect.interrupted": finish(`${step}/${r.data.effect}`, at, r.seq, "lost"); break;
      case "wait.opened": {
        finish(`${step}/${r.data.effect}`, at, r.seq);
        const bar: Bar = { kind: "waited", from: at, seq: r.seq, about: `waited (${r.data.kind})` };
        row(r.data.step, r.data.effect).bars.push(bar);
        waits.set(r.data.wait_id, bar);
        break;
      }
      case "wait.resolved": {
        const bar = waits.get(r.data.wait_id);
        if (bar) Object.assign(bar, { to: at, seq: r.seq });
        waits.delete(r.data.wait_id);
        break;
      }
      case "run.completed": case "run.failed": case "run.cancelled":
        settle(at, r.seq);
        for (const bar of [...open.values(), ...waits.values()]) bar.to = at;
        open.clear();
        waits.clear();
    }
  }
  return [...rows.values()].filter((r) => r.bars.length > 0);
}

/** sharesOf is how long a row was in each state. */
const sharesOf = (bars: Bar[], until: number) => kinds.flatMap((k) => {
  const ms = bars.reduce((n, b) => (b.kind === k ? n + (b.to ?? until) - b.from : n), 0);
  return ms > 0 ? [[k, ms] as const] : [];
});

/** scaleOf maps time to a share of the width. Folded, no gap without an event is wider than its share. */
function scaleOf(times: number[], fold: boolean) {
  const points = [...new Set(times)].sort((a, b) => a - b);
  const gaps = points.slice(1).map((t, i) => t - points[i]);
  const sorted = [...gaps].sort((a, b) => a - b);
  const most = fold ? Math.max(1, (sorted[Math.floor(sorted.length / 2)] ?? 1) * 6) : Infinity;
  const at = [0];
  gaps.forEach((g, i) => at.push(at[i] + Math.min(g, most)));
  const total = Math.max(1e-9, at.at(-1)!);
  const folds = gaps.flatMap((g, i) => (g > most ? [{ at: (at[i] + at[i + 1]) / 2 / total, gap: g }] : []));
  const index = new Map(points.map((t, i) => [t, at[i] / total]));
  return { of: (t: number) => index.get(t) ?? 0, folds: folds.sort((a, b) => b.gap - a.gap).slice(0, 200) };
}

const lines = { wide: 28, narrow: 48 }; // px, as in main.css; on a narrow screen names are above their bars

export function Timeline({ records, seq, select }: { records: Rec[]; seq: number; select: (seq: number) => void }) {
  const [fold, setFold] = useState(true);
  const [zoom, setZoom] = useState(1);
  const line = useNarrow() ? lines.narrow : lines.wide;
  const box = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => rowsOf(records, seq), [records, seq]);
  const last = records[Math.min(seq, records.length) - 1];
  const ended = !last || last.kind === "run.completed" || last.kind === "run.failed" || last.kind === "run.cancelled" || seq < records.length;
  const until = ended ? (last ? Date.parse(last.at) : 0) : Math.max(Date.parse(last.at), now.value);
  const scale = useMemo(() => scaleOf([...rows.flatMap((r) => r.bars.flatMap((b) => [b.from, b.to ?? until])), until], fold), [rows, until, fold]);
  const total = useMemo(() => sharesOf(rows.flatMap((r) => r.bars), until), [rows, until]);
  const at = rows.findIndex((r) => r.bars.some((b) => b.seq === seq));
  const { first, count, onScroll } = useWindow(box, rows.length, line, at);
  if (rows.length === 0) return <p class="faint">No step yet.</p>;
  const sum = total.reduce((n, [, ms]) => n + ms, 0);
  const percent = (share: number) => `${(share * 100).toFixed(3)}%`;
  return (
    <div>
      <div class="toolbar">
        <label class="check"><input type="checkbox" checked={fold} onChange={(e) => setFold(e.currentTarget.checked)} /> fold idle time</label>
        <button type="button" class="quiet" aria-label="Zoom out" disabled={zoom <= 1} onClick={() => setZoom(zoom / 2)}>−</button>
        <span class="faint">{zoom}×</span>
        <button type="button" class="quiet" aria-label="Zoom in" disabled={zoom >= 64} onClick={() => setZoom(zoom * 2)}>+</button>
        <span class="legend">{total.map(([k, ms]) => <span key={k}><i class={k} /> {words[k]} {span(ms)} ({Math.round((ms / sum) * 100)} %)</span>)}</span>
      </div>
      <div class="timeline" ref={box} onScroll={onScroll} tabIndex={0} role="group" aria-label={`Timeline, ${rows.length} rows`}>
        <div class="timeline-all" style={{ height: `${rows.length * line}px`, width: percent(zoom) }}>
          {scale.folds.map((f, i) => <span key={i} class="fold" style={{ left: `calc(var(--names) + (100% - var(--names)) * ${f.at.toFixed(5)})` }} title={`${span(f.gap)} folded`} />)}
          {rows.slice(first, first + count).map((r, i) => {
            const shares = sharesOf(r.bars, until);
            return (
              <div key={`${r.step}/${r.name}/${first + i}`} class="lane" style={{ top: `${(first + i) * line}px` }}>
                <span class="lane-name" title={`${r.name}: ${shares.map(([k, ms]) => `${words[k]} ${span(ms)}`).join(", ")}`}><span class="faint">{r.step || ""}</span> {r.name}</span>
                <span class="lane-bars">
                  {r.bars.map((b, j) => {
                    const from = scale.of(b.from);
                    const said = `${r.name}: ${b.about}, ${clock(new Date(b.from).toISOString())}, ${b.to === undefined ? "still open" : span(b.to - b.from)}`;
                    return <button key={j} type="button" class={`bar ${b.kind} ${b.to === undefined ? "open" : ""} ${b.seq === seq ? "selected" : ""}`} aria-label={said} title={said}
                      style={{ left: `min(${percent(from)}, 100% - 5px)`, width: percent(scale.of(b.to ?? until) - from) }} onClick={() => select(b.seq)} />;
                  })}
                </span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
