// Marks on records of a run.

import { useState } from "preact/hooks";
import { call, newKey, type Request } from "../api/client";
import type { Bookmark } from "../api/types";
import { CopyAs } from "../actions";
import { Dialog, Refusal } from "../ui/basics";

/** Marks are the bookmarks of a run; each leads to its record. */
export function Marks({ of, seq, select }: { of: Bookmark[]; seq: number; select: (seq: number) => void }) {
  if (of.length === 0) return null;
  return (
    <div class="toolbar marks" role="group" aria-label="Bookmarks of this run">
      {of.map((b) => <button key={b.name} type="button" class="chip" aria-pressed={b.seq === seq} title={b.note} onClick={() => select(b.seq)}><span aria-hidden="true">⚑</span> {b.name} <b>#{b.seq}</b></button>)}
    </div>
  );
}

/** Mark keeps a bookmark at a record. */
export function Mark({ id, seq, close, done }: { id: string; seq: number; close: () => void; done: () => void }) {
  const [name, setName] = useState("");
  const [tags, setTags] = useState("");
  const [note, setNote] = useState("");
  const [error, setError] = useState<unknown>();
  const [key] = useState(newKey);
  const words = tags.split(/[\s,]+/).filter(Boolean);
  const request = (): Request => ({ method: "POST", path: "v1/bookmarks", key, body: { name, run_id: id, seq, ...(words.length > 0 && { tags: words }), ...(note && { note }) } });
  const send = async (e: Event) => {
    e.preventDefault();
    try {
      await call<Bookmark>(request());
      done();
      close();
    } catch (x) {
      setError(x);
    }
  };
  return (
    <Dialog title={`Bookmark record ${seq}`} close={close}>
      <form onSubmit={send}>
        <label class="field">Name <input type="text" value={name} maxLength={100} onInput={(e) => setName(e.currentTarget.value)} /></label>
        <label class="field">Tags, to find it by <input type="text" value={tags} onInput={(e) => setTags(e.currentTarget.value)} placeholder="incident review" /></label>
        <label class="field">Note <textarea rows={3} value={note} onInput={(e) => setNote(e.currentTarget.value)} /></label>
        <Refusal error={error} />
        <footer><CopyAs command={["bookmark", "add", name, id, "--at", String(seq), ...words.flatMap((t) => ["--tag", t]), ...(note ? ["--note", note] : [])]} request={request} /><button class="primary" disabled={!name}>Keep it</button></footer>
      </form>
    </Dialog>
  );
}
