// JSON whose numbers keep their text: 1.0 and 9007199254740993 go back as they came.

/** Any JSON value. A number whose text JavaScript would change is a raw number. */
export type Json = null | boolean | number | string | RawNumber | Json[] | { [name: string]: Json };

/** A number kept as text, made by JSON.rawJSON. */
export interface RawNumber {
  readonly rawJSON: string;
}

interface RawSupport {
  rawJSON?(text: string): RawNumber; // older browsers round numbers instead
  isRawJSON?(v: unknown): v is RawNumber;
  parse(text: string, revive: (name: string, value: unknown, context: { source?: string }) => unknown): Json;
}

const raw = JSON as unknown as RawSupport;

export const isRaw = (v: unknown): v is RawNumber => raw.isRawJSON?.(v) ?? false;

// A number that JavaScript may write otherwise: long, with a point or an exponent, or -0. What looks like one in a string only costs time.
const delicate = /(?:"\s*:|[[,]|^)\s*(?:-0|-?\d{16}|-?\d+[.eE])/;

/** parse reads JSON text. */
export const parse = (text: string): Json =>
  !delicate.test(text) ? (JSON.parse(text) as Json) : raw.parse(text, (_, value, context) =>
    typeof value === "number" && context?.source !== undefined && String(value) !== context.source
      ? raw.rawJSON?.(context.source) ?? value
      : value);

/** number reads the text of a number, or gives undefined. */
export function number(text: string): number | RawNumber | undefined {
  if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return undefined;
  return parse(text) as number | RawNumber;
}

export const print = (v: unknown, indent?: number): string => JSON.stringify(v, null, indent) ?? "null";

export const isObject = (v: unknown): v is { [name: string]: Json } =>
  typeof v === "object" && v !== null && !Array.isArray(v) && !isRaw(v);

/** get walks down a path of members. */
export function get(v: Json | undefined, ...path: string[]): Json | undefined {
  for (const name of path) v = isObject(v) && Object.hasOwn(v, name) ? v[name] : undefined;
  return v;
}

/** A difference at a path; undefined is absence. */
export interface Difference {
  path: string;
  before: Json | undefined;
  after: Json | undefined;
}

/** diff lists where two values differ, as deep as both are objects or lists. */
export function diff(before: Json | undefined, after: Json | undefined, path = ""): Difference[] {
  if (print(before) === print(after) && (before === undefined) === (after === undefined)) return [];
  const below = (a: Json, b: Json, names: string[], at: (n: string) => string) =>
    names.flatMap((n) => diff((a as any)[n], (b as any)[n], at(n)));
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return below(before, after, names, (n) => (path ? `${path}.${n}` : n));
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    const names = Array.from({ length: Math.max(before.length, after.length) }, (_, i) => String(i));
    return below(before, after, names, (n) => `${path}[${n}]`);
  }
  return [{ path, before, after }];
}
