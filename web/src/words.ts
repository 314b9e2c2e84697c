// Sentences about runs, waits and records.

import { get, print, type Json } from "./api/json";
import type { Rec } from "./api/record";
import type { Decision, Run, RunInfo, RunWait, Wait } from "./api/types";
import { given, now, relative, span } from "./time";

const one = (s: string, n = 140) => { s = s.replace(/\s+/g, " ").trim(); return s.length > n ? `${s.slice(0, n - 1)}…` : s; };

/** people are the kinds of waits that people answer. */
export const people = ["question", "form", "tool_approval", "budget", "attention", "job", "custom"] as const;

/** asks says what a wait asks for, in a few words. */
export function asks(w: RunWait | Wait): string {
  const item = w.items?.[0];
  switch (w.kind) {
    case "question": return one(w.message || "A question without words");
    case "form": return one(w.message || "A form to fill in");
    case "tool_approval": return `May it call ${item?.name ?? "a tool"}?`;
    case "budget": return one(w.message || "A budget is used up");
    case "attention": return `Did ${String(get(w.details ?? null, "effect", "type") ?? get(w.details ?? null, "type") ?? "an effect")} happen?`;
    case "event": return `An event ${w.key ?? ""}`;
    case "timer": return "A time";
    case "retry": return "The time of the next attempt";
    case "child": return `The end of run ${w.key ?? "below it"}`;
    case "job": return `A job done elsewhere${w.key ? `: ${one(w.key, 60)}` : ""}`;
  }
  return one(w.message || `An answer (${w.kind})`);
}

/** waiting is what a run waits for, as a part of a sentence. */
export function waiting(w: RunWait): string {
  const until = given(w.until) ? ` ${relative(w.until)}` : "";
  const by = given(w.expires_at) ? `, until ${relative(w.expires_at)}` : "";
  switch (w.kind) {
    case "question": return `a person's answer: “${asks(w)}”${by}`;
    case "form": return `a person to fill in a form: “${asks(w)}”${by}`;
    case "tool_approval": return `a decision about a call of ${w.items?.[0]?.name ?? "a tool"}${by}`;
    case "budget": return `a word on a used-up budget${by}`;
    case "attention": return "a person's word on an effect whose outcome is unknown";
    case "timer": return `a timer that fires${until}`;
    case "retry": return `the next attempt, due${until}`;
    case "event": return `the event ${w.key}${by}`;
    case "child": return "the end of a run below it";
    case "job": return `work that is done elsewhere${w.key ? ` (${one(w.key, 60)})` : ""}${by}`;
  }
  return `an answer${by}`;
}

/** gone says who destroyed a run's content, when and why. */
function gone(r: Partial<Run>): string {
  const by = r.shredded;
  return by ? ` Its content was destroyed${by.actor ? ` by ${by.actor}` : ""}${by.at ? ` ${relative(by.at)}` : ""}${by.reason ? `: ${one(by.reason)}` : ""}.` : "";
}

/** doing says what a run is doing, since when, as seen from a time. */
export function doing(r: RunInfo & Partial<Run>, at = now.value): string {
  const since = given(r.updated_at) && at > Date.parse(r.updated_at) ? `, for ${span(at - Date.parse(r.updated_at))}` : "";
  const took = given(r.ended_at) ? ` after ${span(Date.parse(r.ended_at) - Date.parse(r.created_at))}, ${relative(r.ended_at)}` : "";
  switch (r.status) {
    case "running": return r.node ? `It is at work in ${r.node}${since}.` : "It is about to begin.";
    case "waiting": {
      const w = r.waits ?? [];
      if (w.length === 0) return "It waits.";
      return `It waits for ${waiting(w[0])}${w.length > 1 ? `, and for ${w.length - 1} more` : ""}.`;
    }
    case "paused": return `It was paused${r.paused?.actor ? ` by ${r.paused.actor}` : ""}${r.paused?.at ? ` ${relative(r.paused.at)}` : ""}${r.paused?.reason ? `: ${one(r.paused.reason)}` : ""}. Nothing executes until it is unpaused.`;
    case "completed": return `It completed${took}.${gone(r)}`;
    case "failed": return `It failed${took}: ${one(r.error?.message ?? "the reason is not known", 240)}${gone(r)}`;
    case "cancelled": return `It was cancelled${took}.${gone(r)}`;
  }
  return "";
}

/** Reason is why a run is where it is, and what would move it. */
export interface Reason {
  text: string;
  next?: string; // a command
}

/** why explains a run as the command bide why does. */
export function why(r: Run): Reason[] {
  const out: Reason[] = [];
  if (r.set_aside) out.push({ text: `Workers leave it alone: ${r.set_aside}` });
  const quiet = now.value - Date.parse(r.updated_at);
  switch (r.status) {
    case "running":
      if (quiet > 10_000 && !r.set_aside) out.push({ text: `It could go on, but nothing has happened for ${span(quiet)}. A call may take its time; or no worker is at work.`, next: `bide run --resume ${r.run_id}` });
      else out.push({ text: `It is at work${r.node ? ` at ${r.node}` : ""}.` });
      break;
    case "paused": out.push({ text: doing(r), next: `bide unpause ${r.run_id}` }); break;
    case "failed": out.push({ text: doing(r), next: `bide retry ${r.run_id}` }); break;
    case "completed": case "cancelled": out.push({ text: doing(r) });
  }
  for (const w of (r.waits ?? []).slice(0, 20)) {
    const at = w.node ? `At ${w.node}, ` : "";
    const late = given(w.until) && Date.parse(w.until) < now.value - 10_000 ? " That time has passed: no worker seems to be at work." : "";
    const text = `${at ? `${at}it` : "It"} waits since ${span(now.value - Date.parse(w.created_at))} for ${waiting(w)}.${late}`;
    const next = (people as readonly string[]).includes(w.kind) ? `bide ${w.kind === "tool_approval" ? "approve" : "answer"} ${w.wait_id}` : w.kind === "event" ? `bide send ${eventName(w.key)} --run ${r.run_id}` : undefined;
    out.push({ text, next });
  }
  for (const e of r.effects ?? []) {
    if (e.error && e.status !== "completed") out.push({ text: `${e.type} failed at attempt ${e.attempt}: ${one(e.error.message, 240)}` });
  }
  return out;
}

/** eventName is the last part of an event's key. */
export const eventName = (key = "") => key.split(":").slice(3).join(":") || key;

/** answered says how a wait was resolved. */
export function answered(d: Decision): string {
  const who = d.actor || { timer: "the timer", event: "an event", child: "the end of a run", deadline: "the deadline" }[d.by as string] || d.by;
  return `${who} answered ${relative(d.at)}${d.answer === undefined ? "" : `: ${saying(d.answer)}`}`;
}

/** saying is an answer in a few words. */
export function saying(a: Json): string {
  if (typeof a === "string") return `“${one(a)}”`;
  const decisions = get(a, "decisions");
  if (Array.isArray(decisions)) return decisions.map((d) => `${get(d, "type")}${get(d, "message") ? `, “${one(String(get(d, "message")))}”` : ""}`).join("; ");
  if (get(a, "approved") !== undefined) return get(a, "approved") === true ? "approve" : "reject";
  if (typeof get(a, "type") === "string") return String(get(a, "type"));
  return one(print(a));
}

const tell = (label: string, v: Json | undefined) => (v === undefined ? label : `${label}: ${one(typeof v === "string" ? v : print(v), 160)}`);

/** told says what a record says. */
export function told(r: Rec): string {
  switch (r.kind) {
    case "run.started": return tell("input", r.data.input);
    case "step.planned": {
      const p = r.data.plan;
      const effects = (p.effects ?? []).map((e) => e.type).join(", ");
      const exit = p.exit.node ? `then ${p.exit.node}` : p.exit.complete ? "then the end" : p.exit.fail ? `then failure: ${p.exit.fail.message}` : "";
      return one([effects, exit].filter(Boolean).join(", "), 160);
    }
    case "step.failed": case "run.failed": return one(`${r.data.error.code}: ${r.data.error.message}`, 200);
    case "effect.started": return `effect ${r.data.effect}, attempt ${r.data.attempt}${r.data.in_doubt ? " (the one before is in doubt)" : ""}`;
    case "effect.completed": return tell(`effect ${r.data.effect}`, r.data.result);
    case "effect.failed": return one(`effect ${r.data.effect}, attempt ${r.data.attempt}: ${r.data.error.message}${given(r.data.retry_at) ? "; again later" : ""}`, 200);
    case "effect.interrupted": return `effect ${r.data.effect}, attempt ${r.data.attempt}: its outcome is unknown`;
    case "effect.late": return `effect ${r.data.effect}: its outcome came when nobody waited for it`;
    case "wait.opened": return `${r.data.kind}: ${asks(r.data)}`;
    case "wait.resolved": return `by ${r.actor || r.data.by}${r.data.answer === undefined ? "" : `: ${saying(r.data.answer)}`}`;
    case "run.completed": return tell("output", r.data.output);
    case "run.forked": return `from ${r.data.origin.run_id} at ${r.data.origin.seq}`;
    case "run.shredded": return "the content of all records before was destroyed";
    case "sealed": return `${r.data.kind}: its content is encrypted, or was destroyed`;
    case "run.migrated": return `to version ${r.data.version}`;
  }
  return r.reason ?? "";
}

/** titled is what to call a run: its key or its workflow. */
export const titled = (r: RunInfo) => (r.key ? `${r.workflow} · ${one(r.key, 50)}` : r.workflow);
