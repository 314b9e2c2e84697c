// When things happened: a row per effect, a bar per attempt and per wait; long idle gaps are folded.

import { useMemo, useState } from "preact/hooks";
import type { Rec } from "../api/record";
import { clock, now, span } from "../time";

interface Bar {
  kind: "work" | "waited" | "failed" | "lost";
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
  const rows = new Map<string, Row>();
  const open = new Map<string, Bar>(); // by row, attempts
  const waits = new Map<string, Bar>(); // by wait
  const row = (step: number, effect: number, name?: string): Row => {
    const key = `${step}/${effect}`;
    let r = rows.get(key);
    if (!r) rows.set(key, (r = { name: name ?? `effect ${effect}`, step, bars: [] }));
    return r;
  };
  const begin = (r: Row, key: string, at: number, seq: number, about: string) => {
    const bar: Bar = { kind: "work", from: at, seq, about };
    r.bars.push(bar);
    open.set(key, bar);
  };
  const finish = (key: string, at: number, seq: number, kind: Bar["kind"]) => {
    const bar = open.get(key);
    if (!bar) return;
    Object.assign(bar, { to: at, kind, seq });
    open.delete(key);
  };
  for (const r of records) {
    if (r.seq > upto) break;
    const at = Date.parse(r.at);
    const step = r.step ?? 0;
    switch (r.kind) {
      case "step.planned": {
        let announced = r.data.announced ?? 0;
        const effects = r.data.plan.effects ?? [];
        if (effects.length === 0) row(step, -1, r.node).bars.push({ kind: "work", from: at, to: at, seq: r.seq, about: "a decision" });
        effects.forEach((e, i) => {
          const line = row(step, i, `${r.node} · ${e.type}`);
          if (!builtin.has(e.type) && announced-- > 0) begin(line, `${step}/${i}`, at, r.seq, "attempt 1");
        });
        break;
      }
      case "step.failed": row(step, -1, r.node).bars.push({ kind: "failed", from: at, to: at, seq: r.seq, about: r.data.error.message }); break;
      case "effect.started": begin(row(step, r.data.effect), `${step}/${r.data.effect}`, at, r.seq, `attempt ${r.data.attempt}`); break;
      case "effect.completed":
        if (open.has(`${step}/${r.data.effect}`)) finish(`${step}/${r.data.effect}`, at, r.seq, "work");
        else row(step, r.data.effect).bars.push({ kind: "work", from: at, to: at, seq: r.seq, about: "done at once" });
        break;
      case "effect.failed": finish(`${step}/${r.data.effect}`, at, r.seq, "failed"); break;
      case "effect.interrupted": finish(`${step}/${r.data.effect}`, at, r.seq, "lost"); break;
      case "wait.opened": {
        finish(`${step}/${r.data.effect}`, at, r.seq, "work");
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
        for (const bar of [...open.values(), ...waits.values()]) bar.to = at;
        open.clear();
        waits.clear();
    }
  }
  return [...rows.values()];
}

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
  return { of: (t: number) => index.get(t) ?? 0, folds };
}

const most = 400;

export function Timeline({ records, seq, selected, select }: { records: Rec[]; seq: number; selected: number; select: (seq: number) => void }) {
  const [fold, setFold] = useState(true);
  const [zoom, setZoom] = useState(1);
  const all = useMemo(() => rowsOf(records, seq), [records, seq]);
  const rows = all.slice(-most);
  const last = records[Math.min(seq, records.length) - 1];
  const ended = !last || last.kind === "run.completed" || last.kind === "run.failed" || last.kind === "run.cancelled" || seq < records.length;
  const until = ended ? (last ? Date.parse(last.at) : 0) : Math.max(Date.parse(last.at), now.value);
  const scale = scaleOf([...rows.flatMap((r) => r.bars.flatMap((b) => [b.from, b.to ?? until])), until], fold);
  if (rows.length === 0) return <p class="faint">No step yet.</p>;
  const line = 26;
  const width = 1000 * zoom;
  return (
    <div>
      <div class="toolbar">
        <label class="check"><input type="checkbox" checked={fold} onChange={(e) => setFold(e.currentTarget.checked)} /> fold idle time</label>
        <button type="button" class="quiet" aria-label="Zoom out" disabled={zoom <= 1} onClick={() => setZoom(zoom / 2)}>−</button>
        <button type="button" class="quiet" aria-label="Zoom in" disabled={zoom >= 32} onClick={() => setZoom(zoom * 2)}>+</button>
        <span class="legend"><i class="work" /> at work <i class="waited" /> waited <i class="failed" /> failed <i class="lost" /> outcome unknown</span>
        {all.length > most && <span class="faint">the last {most} of {all.length} rows</span>}
      </div>
      <div class="timeline">
        <ol class="names" aria-hidden="true">{rows.map((r, i) => <li key={i} title={r.name}><span class="faint">{r.step}</span> {r.name}</li>)}</ol>
        <div class="scroll">
          <svg width={zoom > 1 ? width : "100%"} height={rows.length * line} viewBox={`0 0 ${width} ${rows.length * line}`} preserveAspectRatio="none" role="group" aria-label="Timeline">
            {scale.folds.map((f, i) => <line key={i} class="fold" x1={f.at * width} x2={f.at * width} y1="0" y2={rows.length * line}><title>{`${span(f.gap)} folded`}</title></line>)}
            {rows.map((r, i) => r.bars.map((b, j) => {
              const x = scale.of(b.from) * width;
              const w = Math.max(4, (scale.of(b.to ?? until) - scale.of(b.from)) * width);
              const words = `${r.name}: ${b.about}, ${clock(new Date(b.from).toISOString())}, ${b.to === undefined ? "still open" : span(b.to - b.from)}`;
              return (
                <rect key={j} class={`bar ${b.kind} ${b.to === undefined ? "open" : ""} ${b.seq === selected ? "selected" : ""}`} x={Math.min(x, width - 4)} y={i * line + 4} width={w} height={line - 8} rx="3"
                  role="button" tabIndex={0} aria-label={words} onClick={() => select(b.seq)} onKeyDown={(e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), select(b.seq))}><title>{words}</title></rect>
              );
            }))}
          </svg>
        </div>
      </div>
    </div>
  );
}
