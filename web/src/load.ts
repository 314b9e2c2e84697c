// Loading what a page shows, again when records say that it may have changed.

import { useEffect, useRef, useState } from "preact/hooks";
import { calmly, onRecord, onRejoin } from "./api/stream";
import type { Rec } from "./api/record";

export interface Loaded<T> {
  value?: T;
  error?: unknown;
  again: () => void;
}

/** useLoaded loads when keys change, and again soon after a record for which when is true. */
export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>, keys: unknown[], when: (runID: string, r: Rec) => boolean = () => false, pause = 1000): Loaded<T> {
  const [state, set] = useState<{ value?: T; error?: unknown }>({});
  const again = useRef(() => {});
  useEffect(() => {
    let running: AbortController | undefined;
    let stale = false;
    const run = async () => {
      if (running) {
        stale = true;
        return;
      }
      running = new AbortController();
      const { signal } = running;
      try {
        const value = await load(signal);
        if (!signal.aborted) set({ value });
      } catch (error) {
        if (!signal.aborted) set((old) => ({ value: old.value, error }));
      }
      if (signal.aborted) return;
      running = undefined;
      if (stale) {
        stale = false;
        soon();
      }
    };
    const soon = calmly(run, pause);
    again.current = run;
    run();
    const off = [onRecord((id, r) => when(id, r) && soon()), onRejoin(soon)];
    return () => {
      running?.abort();
      soon.stop();
      for (const f of off) f();
    };
  }, keys);
  return { ...state, again: () => again.current() };
}
