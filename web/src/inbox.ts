// The open waits that people answer, kept up to date for every page.

import { computed, signal } from "@preact/signals";
import { read } from "./api/client";
import { calmly, onRecord, onRejoin } from "./api/stream";
import type { Decision, Wait, WaitPage } from "./api/types";
import { given } from "./time";
import { people } from "./words";

/** open are the open waits by id, undefined until they are known. */
export const open = signal<Map<string, Wait> | undefined>(undefined);
/** decided are those that were answered since the page was loaded, with how. */
export const decided = signal(new Map<string, Decision>());
export const failure = signal<unknown>(undefined);
/** more says that there are more than are loaded. */
export const more = signal(false);

const most = 2000;

/** listed are the open waits: the most urgent first, then by deadline, then by age. */
export const listed = computed(() => {
  const deadline = (w: Wait) => (given(w.expires_at) ? Date.parse(w.expires_at) : Infinity);
  return [...(open.value?.values() ?? [])].sort((a, b) =>
    (b.priority ?? 0) - (a.priority ?? 0) || (deadline(a) === deadline(b) ? 0 : deadline(a) - deadline(b)) || a.created_at.localeCompare(b.created_at));
});

let loading = false;
let again = false;

export async function load() {
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  try {
    const found = new Map<string, Wait>();
    let cursor: string | undefined;
    do {
      const url = `v1/waits?${people.map((k) => `kind=${k}`).join("&")}`;
      const page = await read<WaitPage>(url, { limit: 500, cursor });
      for (const w of page.waits) found.set(w.wait_id, w);
      cursor = page.next;
    } while (cursor && found.size < most);
    open.value = found;
    more.value = !!cursor;
    failure.value = undefined;
  } catch (e) {
    failure.value = e;
  } finally {
    loading = false;
    if (again) {
      again = false;
      soon();
    }
  }
}

const soon = calmly(load, 300);

/** settle takes a wait off the list and keeps how it was answered. */
export function settle(id: string, d: Decision) {
  decided.value = new Map(decided.value).set(id, d);
  if (open.value?.has(id)) {
    const rest = new Map(open.value);
    rest.delete(id);
    open.value = rest;
  }
}

/** startInbox loads and follows; call it once. */
export function startInbox() {
  load();
  setInterval(() => document.hidden && load(), 30_000); // for the count in the title, when there is no stream
  onRejoin(soon);
  onRecord((_, r) => {
    if (r.kind === "wait.resolved") {
      settle(r.data.wait_id, { wait_id: r.data.wait_id, by: r.data.by, answer: r.data.answer, actor: r.actor, at: r.at, seq: r.seq });
    } else if (r.kind === "wait.opened" || (r.kind.startsWith("run.") && r.kind !== "run.started")) {
      soon();
    }
  });
}
