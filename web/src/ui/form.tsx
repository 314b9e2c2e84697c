// A form out of a JSON Schema. What it has no field for is written as JSON.

import { useId, useRef, useState } from "preact/hooks";
import { get, isObject, isRaw, number, parse, print, type Json } from "../api/json";
import type { Fault } from "../api/types";

interface FieldProps {
  schema: Json | undefined;
  value: Json | undefined;
  change: (v: Json | undefined) => void;
  path: string; // JSON Pointer
  label?: string;
  item?: boolean; // of a list: the label says more than the title
  required?: boolean;
  faults?: Fault[];
  top: Json | undefined; // the whole schema, for references
}

/** SchemaForm edits a value; undefined means that nothing is given. */
export function SchemaForm(p: { schema: Json | undefined; value: Json | undefined; change: (v: Json | undefined) => void; faults?: Fault[]; label?: string }) {
  return <div class="form"><Field {...p} path="" required top={p.schema} /></div>;
}

/** initial is what a form begins with: the defaults of its schema. */
export function initial(schema: Json | undefined, top = schema): Json | undefined {
  const s = resolve(schema, top);
  const def = get(s, "default");
  if (def !== undefined) return def;
  const least = Number(get(s, "minItems") ?? 0);
  if (kind(s) === "array" && least > 0) return Array.from({ length: Math.min(least, 20) }, () => initial(get(s, "items"), top) ?? blank(resolve(get(s, "items"), top)));
  const props = get(s, "properties");
  if (!isObject(props)) return undefined;
  const out: { [name: string]: Json } = {};
  for (const [name, sub] of Object.entries(props)) {
    const v = initial(sub, top);
    if (v !== undefined) out[name] = v;
  }
  return out;
}

function resolve(schema: Json | undefined, top: Json | undefined): Json | undefined {
  for (let i = 0; i < 10; i++) {
    const ref = get(schema, "$ref");
    if (typeof ref !== "string" || !ref.startsWith("#/")) break;
    schema = get(top, ...ref.slice(2).split("/").map((s) => s.replaceAll("~1", "/").replaceAll("~0", "~")));
  }
  return schema;
}

const text = (v: Json | undefined): string => (typeof v === "string" ? v : "");

function Field(p: FieldProps) {
  const schema = resolve(p.schema, p.top);
  const type = kind(schema);
  const id = useId();
  const faults = (p.faults ?? []).filter((f) => p.path && (f.path ?? "").endsWith(p.path));
  const about = text(get(schema, "description"));
  const title = p.item ? p.label ?? "" : text(get(schema, "title")) || p.label || "";
  const hints = { "aria-describedby": about || faults.length ? `${id}-about` : undefined, "aria-invalid": faults.length > 0 || undefined, "aria-required": p.required || undefined };
  const said = (about || faults.length > 0) && (
    <div id={`${id}-about`}>
      {about && <p class="hint">{about}</p>}
      {faults.map((f, i) => <p key={i} class="fault">{f.message}</p>)}
    </div>
  );
  const caption = title && <>{title}{p.required && p.path && <span class="need" title="required"> *</span>}</>;

  if (type === "object") return <Members {...p} schema={schema} caption={caption} said={said} />;
  if (type === "array") return <List {...p} schema={schema} caption={caption} said={said} />;
  if (type === "boolean") {
    return (
      <div class="field">
        <label class="check"><input type="checkbox" {...hints} checked={p.value === true} onChange={(e) => p.change(e.currentTarget.checked)} /> {caption || "Yes"}</label>
        {said}
      </div>
    );
  }
  return (
    <div class="field">
      {caption && <label for={id}>{caption}</label>}
      <Input id={id} schema={schema} type={type} value={p.value} change={p.change} hints={hints} name={title || "value"} />
      {said}
    </div>
  );
}

function kind(schema: Json | undefined): string {
  if (Array.isArray(get(schema, "enum")) || get(schema, "const") !== undefined) return "enum";
  let t = get(schema, "type");
  if (Array.isArray(t)) t = t.filter((x) => x !== "null").length === 1 ? t.find((x) => x !== "null") : undefined;
  if (t === undefined && isObject(get(schema, "properties"))) t = "object";
  if (t === "object" && !isObject(get(schema, "properties"))) return "json";
  return typeof t === "string" && t !== "null" ? t : "json";
}

function Input({ id, schema, type, value, change, hints, name }: { id: string; schema: Json | undefined; type: string; value: Json | undefined; change: FieldProps["change"]; hints: object; name: string }) {
  const format = text(get(schema, "format"));
  if (type === "enum") {
    const one = get(schema, "const");
    const choices = one !== undefined ? [one] : (get(schema, "enum") as Json[]);
    const at = choices.findIndex((c) => print(c) === print(value));
    return (
      <select id={id} {...hints} value={String(at)} onChange={(e) => change(Number(e.currentTarget.value) < 0 ? undefined : choices[Number(e.currentTarget.value)])}>
        <option value="-1">–</option>
        {choices.map((c, i) => <option key={i} value={String(i)}>{typeof c === "string" ? c : print(c)}</option>)}
      </select>
    );
  }
  if (type === "number" || type === "integer") {
    const shown = typeof value === "string" ? value : value === undefined ? "" : isRaw(value) ? value.rawJSON : print(value);
    return <input id={id} {...hints} type="text" inputMode="decimal" autocomplete="off" value={shown} onInput={(e) => { const t = e.currentTarget.value.trim(); change(t === "" ? undefined : number(t) ?? t); }} />;
  }
  if (type === "string") {
    const props = { id, ...hints, value: text(value), onInput: (e: { currentTarget: { value: string } }) => change(e.currentTarget.value === "" ? undefined : e.currentTarget.value) };
    const long = Number(get(schema, "maxLength") ?? 0) > 200 || text(value).length > 80 || text(value).includes("\n") || /body|text|message|content|comment|note/i.test(name);
    if (long && !format) return <textarea {...props} rows={Math.min(10, Math.max(3, text(value).split("\n").length + 1))} />;
    const types: Record<string, "date" | "time" | "email" | "url" | "password"> = { date: "date", time: "time", email: "email", uri: "url", password: "password" };
    return <input {...(props as object)} type={(types[format] ?? "text") as "text"} placeholder={format === "date-time" ? "2026-11-22T10:00:00Z" : undefined} />;
  }
  return <JsonInput id={id} value={value} change={change} hints={hints} />;
}

/** JsonInput edits any JSON as text. While the text is not JSON the value stays as it was, and that is said. */
export function JsonInput({ id, value, change, hints = {}, rows }: { id?: string; value: Json | undefined; change: FieldProps["change"]; hints?: object; rows?: number }) {
  const [draft, setDraft] = useState(value === undefined ? "" : print(value, 2));
  const [fault, setFault] = useState("");
  const edit = (t: string) => {
    setDraft(t);
    try {
      change(t.trim() === "" ? undefined : parse(t));
      setFault("");
    } catch (e) {
      setFault(e instanceof Error ? e.message : "not JSON");
    }
  };
  return (
    <>
      <textarea id={id} {...hints} class="mono" spellcheck={false} rows={rows ?? Math.min(16, Math.max(3, draft.split("\n").length + 1))} value={draft} onInput={(e) => edit(e.currentTarget.value)} placeholder="JSON" />
      {fault && <p class="fault" role="alert">This is not JSON: {fault}. The value before it stays.</p>}
    </>
  );
}

type Framed = FieldProps & { caption: unknown; said: unknown };

function Members(p: Framed) {
  const props = get(p.schema, "properties") as { [name: string]: Json };
  const required = get(p.schema, "required");
  const value = isObject(p.value) ? p.value : {};
  const set = (name: string, v: Json | undefined) => {
    const out = { ...value };
    if (v === undefined) delete out[name];
    else out[name] = v;
    p.change(out);
  };
  const fields = Object.entries(props).map(([name, sub]) => (
    <Field key={name} schema={sub} value={value[name]} change={(v) => set(name, v)} path={`${p.path}/${name}`} label={name}
      required={Array.isArray(required) && required.includes(name)} faults={p.faults} top={p.top} />
  ));
  if (!p.path) return <>{p.said}{fields}</>;
  return <fieldset><legend>{p.caption as any}</legend>{p.said as any}{fields}</fieldset>;
}

/** List is a list, a field or a group of fields to each item. */
function List(p: Framed) {
  const items = Array.isArray(p.value) ? p.value : [];
  const sub = get(p.schema, "items");
  const name = text(get(resolve(sub, p.top), "title")) || "item";
  const keys = useRef<number[]>([]); // of the items as they are drawn: what is half written stays with its item when one before it goes
  while (keys.current.length < items.length) keys.current.push((keys.current.at(-1) ?? 0) + 1);
  keys.current.length = items.length;
  const set = (i: number, v: Json | undefined) => p.change(items.map((old, j) => (j === i ? v ?? null : old)));
  const remove = (i: number) => {
    keys.current.splice(i, 1);
    p.change(items.filter((_, j) => j !== i));
  };
  return (
    <fieldset>
      <legend>{(p.caption as any) || "List"}</legend>
      {p.said as any}
      {items.map((v, i) => (
        <div class="list-item" key={keys.current[i]}>
          <Field schema={sub} value={v} change={(nv) => set(i, nv)} path={`${p.path}/${i}`} label={`${name} ${i + 1}`} item faults={p.faults} top={p.top} />
          <button type="button" class="quiet" aria-label={`Remove ${name} ${i + 1}`} onClick={() => remove(i)}>✕</button>
        </div>
      ))}
      <button type="button" class="quiet" onClick={() => p.change([...items, initial(sub, p.top) ?? blank(resolve(sub, p.top))])}>Add {/^[aeiou]/i.test(name) ? "an" : "a"} {name}</button>
    </fieldset>
  );
}

const blank = (schema: Json | undefined): Json => ({ string: "", boolean: false, object: {}, array: [], number: 0, integer: 0 })[kind(schema)] ?? null;
