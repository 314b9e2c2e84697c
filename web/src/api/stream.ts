// The one stream of the pages: the records of all runs as they come. It goes on by itself after a
// restart of the server, from the last record that was read.

import { signal } from "@preact/signals";
import { parse } from "./json";
import { root } from "./client";
import { opened, type Rec } from "./record";

export type Connection = "connecting" | "live" | "lost";

/** connection is how the stream stands. */
export const connection = signal<Connection>("connecting");
/** lostSince is when it was lost. */
export const lostSince = signal(0);

type Listener = (runID: string, record: Rec) => void;
const listeners = new Set<Listener>();
const joiners = new Set<() => void>();
let place = "";
let source: EventSource | undefined;
let retry = 0;

/** onRecord calls f with each record from now on, until the returned function is called. */
export function onRecord(f: Listener): () => void {
  listeners.add(f);
  return () => listeners.delete(f);
}

/** onRejoin calls f after each time that the connection was lost and is there again. */
export function onRejoin(f: () => void): () => void {
  joiners.add(f);
  return () => joiners.delete(f);
}

let missed = false; // something may have come while there was no stream

function open() {
  source?.close();
  const url = new URL("v1/stream", root);
  if (place) url.searchParams.set("after", place);
  source = new EventSource(url);
  source.onopen = () => {
    const rejoin = missed || connection.value === "lost";
    connection.value = "live";
    retry = 0;
    missed = false;
    if (rejoin) for (const f of joiners) f();
  };
  source.onerror = () => {
    if (connection.value !== "lost") {
      connection.value = "lost";
      lostSince.value = Date.now();
    }
    if (source?.readyState === EventSource.CLOSED) { // it has given up: a status other than 200
      const failed = source;
      setTimeout(() => source === failed && open(), Math.min(10_000, 500 * 2 ** retry++));
    }
  };
  source.addEventListener("record", (e) => {
    place = e.lastEventId || place;
    const { run_id, record } = parse(e.data) as unknown as { run_id: string; record: Rec };
    for (const f of listeners) f(run_id, opened(record));
  });
}

/** close lets go of the connection: a browser has but six to a server, for all its tabs. */
function close() {
  source?.close();
  source = undefined;
  place = "";
  missed = true;
  connection.value = "connecting";
}

const patience = 10_000; // ms for which a tab that is not seen keeps its stream

/** startStream opens the stream, for as long as the page is looked at; call it once. */
export function startStream() {
  open();
  let asleep: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(asleep);
    if (document.hidden) asleep = setTimeout(close, patience);
    else if (!source) open();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (e) => e.persisted && open());
}

/** calmly calls f soon after it was asked to, however often, and at most once per pause. */
export function calmly(f: () => void, pause = 250): { (): void; stop(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = 0;
  const ask = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      last = Date.now();
      f();
    }, Math.max(20, last + pause - Date.now()));
  };
  return Object.assign(ask, { stop: () => { clearTimeout(timer); timer = undefined; } });
}
