// The records of a ledger, by kind. The API passes them on as they are stored, so they are not in its description.

import type { Json } from "./json";
import type { Failure, RunWait } from "./types";

export interface Effect {
  type: string;
  payload?: Json;
  result?: string;
}

interface Base {
  seq: number;
  prev: string;
  at: string;
  step?: number;
  node?: string;
  command?: string;
  actor?: string;
  reason?: string;
}

type Of<K extends string, D> = Base & { kind: K; data: D };

/** Rec is one record. */
export type Rec =
  | Of<"run.started", { run_id: string; workflow: string; version: string; entry: string; input: Json; parent?: string }>
  | Of<"step.planned", { plan: { effects?: Effect[]; writes?: Json[]; exit: { node?: string; complete?: boolean; fail?: Failure }; error_node?: string; timeout_node?: string }; announced?: number }>
  | Of<"step.failed", { error: Failure; error_node?: string }>
  | Of<"effect.started", { effect: number; attempt: number; in_doubt?: boolean }>
  | Of<"effect.completed", { effect: number; attempt?: number; result: Json }>
  | Of<"effect.failed", { effect: number; attempt: number; error: Failure; retry_at?: string; result?: Json }>
  | Of<"effect.interrupted", { effect: number; attempt: number; message?: string }>
  | Of<"effect.late", { effect: number; attempt: number; result?: Json; error?: Failure }>
  | Of<"wait.opened", RunWait>
  | Of<"wait.resolved", { wait_id: string; by: string; answer?: Json }>
  | Of<"run.completed", { output: Json }>
  | Of<"run.failed", { error: Failure }>
  | Of<"run.forked", { run_id: string; origin: { run_id: string; seq: number } }>
  | Of<"run.migrated", { version: string }>
  | Of<"run.shredded", { state: Json }>
  | Of<"sealed", { kind: string }>
  | Of<"run.cancelled" | "run.paused" | "run.unpaused" | "run.retried" | "grant.revoked", undefined>;

/** opened is a record as it came; one whose data is encrypted and could not be opened is of kind sealed. */
export function opened(r: Rec & { sealed?: string }): Rec {
  return r.sealed && r.data === undefined ? { ...(r as unknown as Base), kind: "sealed", data: { kind: r.kind } } : r;
}
