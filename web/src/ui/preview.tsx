// Artifacts: a blob that a record names, looked at where that is safe. What it is is told by its first bytes,
// never by what somebody says that it is.

import { useEffect, useState } from "preact/hooks";
import { address, Problem } from "../api/client";
import { isObject, parse, print, type Json } from "../api/json";
import { Refusal, Tabs } from "./basics";
import { Tree } from "./json";
import { Markdown } from "./markdown";

/** A named blob, as records have it. */
export interface Blobbed {
  name: string;
  sha256: string;
  bytes?: number;
  lost: boolean;
}

/** artifactsIn finds the artifacts that a value names, at any depth. */
export function artifactsIn(v: Json | undefined, out = new Map<string, Blobbed>(), depth = 0): Blobbed[] {
  if (depth < 12 && out.size < 50) {
    if (Array.isArray(v)) for (const x of v) artifactsIn(x, out, depth + 1);
    else if (isObject(v)) {
      const sum = v.sha256;
      if (typeof sum === "string" && /^[0-9a-f]{64}$/.test(sum) && (v.bytes !== undefined || v.size !== undefined)) {
        const name = typeof v.name === "string" ? v.name : "artifact";
        out.set(`${sum} ${name}`, { name, sha256: sum, bytes: Number(v.bytes ?? v.size), lost: v.lost === true });
      }
      for (const x of Object.values(v)) artifactsIn(x, out, depth + 1);
    }
  }
  return [...out.values()];
}

/** size is a number of bytes in words. */
export const size = (n: number) => (n < 1000 ? `${n} bytes` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : `${(n / 1e6).toFixed(1)} MB`);

/** Artifacts lists those that a run's effects gave. */
export function Artifacts({ run, of }: { run: string; of: Blobbed[] }) {
  if (of.length === 0) return null;
  return <div class="artifacts">{of.map((a) => <Artifact key={a.sha256 + a.name} run={run} of={a} />)}</div>;
}

const most = 4_000_000; // bytes that are looked at here

function Artifact({ run, of: a }: { run: string; of: Blobbed }) {
  const [open, setOpen] = useState(false);
  const url = address({ method: "GET", path: `v1/artifacts/${a.sha256}`, query: { run } }).href;
  return (
    <details class="artifact" onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{a.name} <span class="faint">{a.bytes !== undefined && size(a.bytes)} <span class="mono">{a.sha256.slice(0, 12)}</span></span></summary>
      {a.lost ? <p class="faint">It was not kept; only its hash is known.</p> : open && ((a.bytes ?? 0) > most ? <p>It is too large to look at here.</p> : <Look url={url} name={a.name} />)}
      {!a.lost && <p><a href={url} download={a.name}>Download</a></p>}
    </details>
  );
}

type Kind = "image" | "pdf" | "json" | "markdown" | "text" | "binary";

interface Content {
  kind: Kind;
  text: string;
  url?: string; // of an image or a document
}

const magic: [string, number[]][] = [["image/png", [0x89, 0x50, 0x4e, 0x47]], ["image/jpeg", [0xff, 0xd8, 0xff]], ["image/gif", [0x47, 0x49, 0x46, 0x38]], ["application/pdf", [0x25, 0x50, 0x44, 0x46, 0x2d]]];

/** contentOf says what bytes are. The address of an image is made with a type of ours. */
export function contentOf(bytes: Uint8Array<ArrayBuffer>, name: string): Content {
  const webp = String.fromCharCode(...bytes.slice(0, 4), ...bytes.slice(8, 12)) === "RIFFWEBP" ? "image/webp" : undefined;
  const type = magic.find(([, m]) => m.every((b, i) => bytes[i] === b))?.[0] ?? webp;
  if (type) return { kind: type.startsWith("image/") ? "image" : "pdf", text: "", url: URL.createObjectURL(new Blob([bytes], { type })) };
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { kind: "binary", text: "" };
  }
  if (text.includes("\0")) return { kind: "binary", text: "" };
  if (/^\s*[[{]/.test(text)) {
    try {
      parse(text);
      return { kind: "json", text };
    } catch {
      // it only begins like JSON
    }
  }
  return { kind: /\.(md|markdown)$/i.test(name) || /^#{1,6} \S/m.test(text) ? "markdown" : "text", text };
}

function Look({ url, name }: { url: string; name: string }) {
  const [content, set] = useState<Content>();
  const [error, fail] = useState<unknown>();
  useEffect(() => {
    const stop = new AbortController();
    let made: string | undefined;
    fetch(url, { signal: stop.signal })
      .then(async (r) => {
        if (!r.ok) throw new Problem(r.status, { detail: r.status === 404 ? "it is not kept here" : `the server answered with status ${r.status}` });
        const c = contentOf(new Uint8Array(await r.arrayBuffer()), name);
        made = c.url;
        if (stop.signal.aborted) throw stop.signal.reason;
        set(c);
      })
      .catch((e) => (stop.signal.aborted ? made && URL.revokeObjectURL(made) : fail(e)));
    return () => {
      stop.abort();
      if (made) URL.revokeObjectURL(made);
    };
  }, [url]);
  if (error) return <Refusal error={error} />;
  if (!content) return <p class="faint">Loading…</p>;
  switch (content.kind) {
    case "image": return <img class="preview" src={content.url} alt={name} />;
    case "pdf": return <><iframe class="preview pdf" src={content.url} title={name} /><p><a href={content.url} target="_blank" rel="noreferrer">Open it by itself</a></p></>;
    case "binary": return <p class="faint">Neither text nor a picture.</p>;
  }
  return <Text text={content.text} kind={content.kind} name={name} />;
}

/** Text is a text that may be read as JSON or Markdown. */
export function Text({ text, kind, name }: { text: string; kind: Kind; name: string }) {
  const [as, read] = useState(kind);
  const ways = [...(kind === "json" ? [["json", "JSON"] as const] : [["markdown", "Markdown"] as const]), ["text", "Text"] as const];
  return (
    <>
      <Tabs label={`How to read ${name}`} of={ways as [Kind, string][]} value={as} choose={read} />
      {as === "json" ? <Tree value={parse(text)} label={name} /> : as === "markdown" ? <Markdown text={text} /> : <pre class="scroll wrap" tabIndex={0}>{text}</pre>}
    </>
  );
}

/** plain is JSON or text as a person reads it. */
export const plain = (v: Json | undefined) => (typeof v === "string" ? v : print(v ?? null, 2));
