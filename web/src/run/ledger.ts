// The records of one run, all of them, kept up to date.

import { useEffect, useState } from "preact/hooks";
import { read, segment } from "../api/client";
import { onRecord, onRejoin } from "../api/stream";
import { opened, type Rec } from "../api/record";
import type { Ledger } from "../api/types";

const page = 1000; // records a request
const lanes = 4; // requests at once

/** useRecords loads a run's records; the array is replaced when there are more. */
export function useRecords(id: string): { records: Rec[]; error?: unknown; complete: boolean } {
  const [state, set] = useState<{ records: Rec[]; error?: unknown; complete: boolean }>({ records: [], complete: false });
  useEffect(() => {
    const records: Rec[] = [];
    const stop = new AbortController();
    let loading = false;
    let again = false;
    const show = (complete: boolean, error?: unknown) => !stop.signal.aborted && set({ records: [...records], error, complete });
    const fetch = (from: number) => read<Ledger>(`v1/runs/${segment(id)}/ledger`, { from, limit: page }, stop.signal);
    const load = async () => {
      if (loading) {
        again = true;
        return;
      }
      loading = true;
      do {
        again = false;
        try {
          for (let more = true, wide = 1; more; wide = lanes) {
            const parts = await Promise.all(Array.from({ length: wide }, (_, i) => fetch(records.length + 1 + i * page)));
            for (const part of parts) for (const r of part.records as unknown as Rec[]) if (r.seq === records.length + 1) records.push(opened(r));
            more = parts.at(-1)!.next !== undefined;
            if (!more || wide === 1) show(!more); // a drawing for each of many pages would take longer than they do
          }
        } catch (e) {
          show(true, e);
        }
      } while (again && !stop.signal.aborted);
      loading = false;
    };
    load();
    let drawing: ReturnType<typeof setTimeout> | undefined;
    const off = [
      onRecord((run, r) => {
        if (run !== id) return;
        if (!loading && r.seq === records.length + 1) {
          records.push(r);
          drawing ??= setTimeout(() => { drawing = undefined; show(true); }, records.length > 1000 ? 200 : 0); // a busy run is drawn a few times a second
        } else if (r.seq > records.length) load();
      }),
      onRejoin(load),
    ];
    return () => {
      stop.abort();
      clearTimeout(drawing);
      for (const f of off) f();
    };
  }, [id]);
  return state;
}

/** effectOf finds the effect that a record is about, and its index in the plan of its step. */
export function effectOf(records: Rec[], r: Rec) {
  const index = r.kind.startsWith("effect.") || r.kind === "wait.opened" ? (r.data as { effect: number }).effect
    : r.kind === "wait.resolved" ? openedBy(records, r)?.data.effect
    : r.kind === "step.planned" && r.data.plan.effects?.length === 1 ? 0 : undefined;
  if (index === undefined) return undefined;
  for (let i = r.seq - 1; i >= 0; i--) {
    const p = records[i];
    if (p?.kind === "step.planned" && p.step === r.step) return { index, effect: p.data.plan.effects?.[index], planned: p };
  }
  return undefined;
}

/** openedBy finds the record that opened the wait which a record resolves. */
export function openedBy(records: Rec[], r: Extract<Rec, { kind: "wait.resolved" }>) {
  for (let i = r.seq - 1; i >= 0; i--) {
    const o = records[i];
    if (o?.kind === "wait.opened" && o.data.wait_id === r.data.wait_id) return o;
  }
  return undefined;
}
