// JSON as a tree that opens and closes, and as a difference.

import { useState } from "preact/hooks";
import { isObject, isRaw, print, type Difference, type Json } from "../api/json";
import { Copy } from "./basics";

function Scalar({ value }: { value: Json | undefined }) {
  if (value === undefined) return <span class="faint">absent</span>;
  const kind = value === null ? "null" : isRaw(value) ? "number" : typeof value;
  return <span class={`json-${kind}`}>{print(value)}</span>;
}

const step = 100; // members shown at once

function Member({ name, value, depth }: { name?: string; value: Json | undefined; depth: number }) {
  const below = isObject(value) ? Object.entries(value) : Array.isArray(value) ? value.map((v, i) => [String(i), v] as const) : undefined;
  const [open, setOpen] = useState(depth < 4 && (below?.length ?? 0) <= 40);
  const [shown, setShown] = useState(step);
  const label = name !== undefined && <span class="json-name">{name}</span>;
  if (!below || below.length === 0) return <div class="json-line">{label}{label && ": "}<Scalar value={value} /></div>;
  return (
    <div>
      <button type="button" class="json-line json-fold" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span aria-hidden="true">{open ? "▾" : "▸"}</span> {label} <span class="faint">{Array.isArray(value) ? `[${below.length}]` : `{${below.length}}`}</span>
      </button>
      {open && (
        <div class="json-below">
          {below.slice(0, shown).map(([n, v]) => <Member key={n} name={n} value={v} depth={depth + 1} />)}
          {below.length > shown && <button type="button" class="quiet" onClick={() => setShown(shown + step * 5)}>{below.length - shown} more</button>}
        </div>
      )}
    </div>
  );
}

/** Tree shows a value. */
export function Tree({ value, label }: { value: Json | undefined; label: string }) {
  return (
    <figure class="json" aria-label={label}>
      <figcaption><span>{label}</span>{value !== undefined && <Copy text={() => print(value, 2)} />}</figcaption>
      <Member value={value} depth={0} />
    </figure>
  );
}

/** Changes shows differences line by line. */
export function Changes({ of, none }: { of: Difference[]; none: string }) {
  if (of.length === 0) return <p class="faint">{none}</p>;
  return (
    <ul class="changes">
      {of.slice(0, 200).map((d) => (
        <li key={d.path}>
          <code>{d.path || "(whole value)"}</code>
          {d.before !== undefined && <del><span class="unseen">before: </span>{clip(print(d.before))}</del>}
          {d.after !== undefined && <ins><span class="unseen">after: </span>{clip(print(d.after))}</ins>}
        </li>
      ))}
      {of.length > 200 && <li class="faint">and {of.length - 200} more</li>}
    </ul>
  );
}

const clip = (s: string) => (s.length > 2000 ? `${s.slice(0, 2000)}… (${s.length} characters)` : s);
