// The ledger as a table that draws only the rows in sight.

import { useMemo, useRef, useState } from "preact/hooks";
import type { Rec } from "../api/record";
import { clock, moment } from "../time";
import { told } from "../words";
import { print } from "../api/json";
import { useWindow } from "../ui/window";

const line = 30; // px, as in main.css

export function LedgerTable({ records, seq, select }: { records: Rec[]; seq: number; select: (seq: number) => void }) {
  const [text, setText] = useState("");
  const [kind, setKind] = useState("");
  const box = useRef<HTMLDivElement>(null);
  const kinds = useMemo(() => [...new Set(records.map((r) => r.kind))].sort(), [records]);
  const rows = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    return records.filter((r) => (!kind || r.kind === kind) && (!wanted || print(r).toLowerCase().includes(wanted)));
  }, [records, text, kind]);
  const at = rows.findIndex((r) => r.seq === seq);
  const { first, count, onScroll } = useWindow(box, rows.length, line, at);
  const shown = rows.slice(first, first + count);
  const key = (e: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity }[e.key];
    if (by === undefined || rows.length === 0) return;
    e.preventDefault();
    select(rows[Math.max(0, Math.min(rows.length - 1, at + by))].seq);
  };
  return (
    <div>
      <div class="toolbar">
        <input type="search" aria-label="Filter records" placeholder="Filter" value={text} onInput={(e) => setText(e.currentTarget.value)} />
        <select aria-label="Kind" value={kind} onChange={(e) => setKind(e.currentTarget.value)}><option value="">every kind</option>{kinds.map((k) => <option key={k}>{k}</option>)}</select>
        <span class="faint" role="status">{rows.length === records.length ? `${records.length} records` : `${rows.length} of ${records.length} records`}</span>
      </div>
      <div class="ledger" ref={box} role="grid" tabIndex={0} aria-label="Ledger" aria-rowcount={rows.length} aria-activedescendant={at >= 0 ? `rec-${seq}` : undefined} onKeyDown={key} onScroll={onScroll}>
        <div class="ledger-all" style={{ height: `${rows.length * line}px` }}>
          {shown.map((r, i) => (
            <div key={r.seq} id={`rec-${r.seq}`} role="row" aria-rowindex={first + i + 1} aria-selected={r.seq === seq} class={`rec ${family(r.kind)}`} style={{ transform: `translateY(${(first + i) * line}px)` }} onClick={() => select(r.seq)}>
              <span role="gridcell" class="seq">{r.seq}</span>
              <span role="gridcell" class="at" title={moment(r.at)}>{clock(r.at)}</span>
              <span role="gridcell" class="kind">{r.kind}</span>
              <span role="gridcell" class="node">{r.node}</span>
              <span role="gridcell" class="told">{told(r)}</span>
              <span role="gridcell" class="who">{r.actor}</span>
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

const family = (kind: string) => (kind.endsWith(".failed") || kind === "effect.interrupted" ? "bad" : kind.startsWith("wait.") ? "wait" : kind.startsWith("run.") ? "run" : kind.startsWith("effect.") ? "effect" : "step");
