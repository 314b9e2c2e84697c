// Calls of the HTTP API, which is one level above the pages.

import { parse, print, type Json } from "./json";
import type { Decision, Fault, Problem as ProblemBody } from "./types";

export const root = new URL("../", document.baseURI);

/** A request, as it is sent or copied. */
export interface Request {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string; // relative to the root: v1/runs
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** sent as it is, in place of a body */
  file?: File;
  /** makes a change idempotent */
  key?: string;
}

/** Problem is a refusal (RFC 9457), or that the server is not to be reached (status 0). */
export class Problem extends Error {
  status: number;
  code: string;
  faults: Fault[];
  decision?: Decision;

  constructor(status: number, body: Partial<ProblemBody>) {
    super(body.detail || body.title || `the server answered with status ${status}`);
    this.status = status;
    this.code = body.code ?? "";
    this.faults = body.faults ?? [];
    this.decision = body.decision;
  }
}

export function address(r: Request): URL {
  const url = new URL(r.path, root);
  for (const [name, value] of Object.entries(r.query ?? {})) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  return url;
}

export const newKey = (): string => crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

/** call sends a request and gives its answer; it throws a Problem. */
export async function call<T>(r: Request, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (r.file) headers["Content-Type"] = "application/octet-stream";
  else if (r.body !== undefined) headers["Content-Type"] = "application/json";
  if (r.method !== "GET") headers["Idempotency-Key"] = r.key ?? newKey();
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(address(r), { method: r.method, headers, body: r.file ?? (r.body === undefined ? undefined : print(r.body)), signal, cache: "no-cache" });
    text = await answer.text();
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new Problem(0, { detail: "the server cannot be reached" });
  }
  let body: Json = null;
  try {
    body = text === "" ? null : parse(text);
  } catch {
    throw new Problem(answer.status, { detail: `the server's answer is not JSON (status ${answer.status})` });
  }
  if (!answer.ok) throw new Problem(answer.status, body as Partial<ProblemBody>);
  return body as T;
}

export const read = <T>(path: string, query?: Request["query"], signal?: AbortSignal) => call<T>({ method: "GET", path, query }, signal);

const quoted = (s: string) => (/^[\w@%+=:,./-]+$/.test(s) ? s : `'${s.replaceAll("'", `'\\''`)}'`);

/** shell puts a command line together. */
export const shell = (...words: string[]) => words.map(quoted).join(" ");

/** curl is the request as a command line. */
export function curl(r: Request): string {
  const words = ["curl", "-sS", "-X", r.method, address(r).href];
  if (r.method !== "GET") words.push("-H", `Idempotency-Key: ${r.key ?? newKey()}`);
  if (r.file) words.push("-T", r.file.name);
  else if (r.body !== undefined) words.push("-H", "Content-Type: application/json", "-d", print(r.body));
  return shell(...words);
}

/** segment is a part of a path. */
export const segment = encodeURIComponent;
