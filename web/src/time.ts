// Times, relative and absolute.

import { signal } from "@preact/signals";

/** now ticks, so that relative times stay true. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);
document.addEventListener("visibilitychange", () => (now.value = Date.now()));

/** span is a length of time in words: 3 min, 2 h 5 min. */
export function span(ms: number): string {
  ms = Math.abs(ms);
  if (ms < 1) return "0 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1).replace(/\.0$/, "")} s`;
  const s = Math.round(ms / 1000);
  const two = (a: number, ua: string, b: number, ub: string) => (b ? `${a} ${ua} ${b} ${ub}` : `${a} ${ua}`);
  if (s < 60) return `${s} s`;
  if (s < 600) return two(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 3600) return `${Math.round(s / 60)} min`;
  if (s < 86_400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return two(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3600), "h");
}

/** relative is a time as seen from now. */
export function relative(t: string, at = now.value): string {
  const ms = Date.parse(t) - at;
  if (Math.abs(ms) < 2000) return "just now";
  const whole = Math.sign(ms) * Math.max(1000, Math.round(Math.abs(ms) / 1000) * 1000);
  return whole < 0 ? `${span(whole)} ago` : `in ${span(whole)}`;
}

/** moment is a time to the second, in the zone of the reader. */
export const moment = (t: string) =>
  new Date(t).toLocaleString(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });

/** clock is a time of day with milliseconds. */
export const clock = (t: string) => {
  const d = new Date(t);
  return `${d.toLocaleTimeString(undefined, { hour12: false })}.${String(d.getMilliseconds()).padStart(3, "0")}`;
};

const zero = "0001-01-01T00:00:00Z";

/** given says whether a time is one. */
export const given = (t: string | undefined): t is string => !!t && t !== zero;
