// The records of one run, all of them, kept up to date.

import { useEffect, useState } from "preact/hooks";
import { read, segment } from "../api/client";
import { onRecord, onRejoin } from "../api/stream";
import type { Rec } from "../api/record";
import type { Ledger } from "../api/types";

/** useRecords loads a run's records; the array is replaced when there are more. */
export function useRecords(id: string): { records: Rec[]; error?: unknown; complete: boolean } {
  const [state, set] = useState<{ records: Rec[]; error?: unknown; complete: boolean }>({ records: [], complete: false });
  useEffect(() => {
    const records: Rec[] = [];
    const stop = new AbortController();
    let loading = false;
    let again = false;
    const show = (complete: boolean, error?: unknown) => !stop.signal.aborted && set({ records: [...records], error, complete });
    const load = async () => {
      if (loading) {
        again = true;
        return;
      }
      loading = true;
      do {
        again = false;
        try {
          for (let next: number | undefined = records.length + 1; next; ) {
            const part: Ledger = await read<Ledger>(`v1/runs/${segment(id)}/ledger`, { from: next, limit: 1000 }, stop.signal);
            for (const r of part.records as unknown as Rec[]) if (r.seq === records.length + 1) records.push(r);
            next = part.next;
            if (!next || records.length <= 1000) show(!next); // a drawing for each of many pages would take longer than they do
          }
        } catch (e) {
          show(true, e);
        }
      } while (again && !stop.signal.aborted);
      loading = false;
    };
    load();
    const off = [
      onRecord((run, r) => {
        if (run !== id) return;
        if (!loading && r.seq === records.length + 1) {
          records.push(r);
          show(true);
        } else if (r.seq > records.length) load();
      }),
      onRejoin(load),
    ];
    return () => {
      stop.abort();
      for (const f of off) f();
    };
  }, [id]);
  return state;
}

/** effectOf finds the effect that a record is about, and its index in the plan of its step. */
export function effectOf(records: Rec[], r: Rec) {
  const index = r.kind.startsWith("effect.") || r.kind === "wait.opened" ? (r.data as { effect: number }).effect : undefined;
  if (index === undefined) return undefined;
  for (let i = r.seq - 1; i >= 0; i--) {
    const p = records[i];
    if (p?.kind === "step.planned" && p.step === r.step) return { index, effect: p.data.plan.effects?.[index], planned: p };
  }
  return undefined;
}
