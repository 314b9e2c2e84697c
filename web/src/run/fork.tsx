// A new run out of a record of another one, after a look at what would happen again.

import { useState } from "preact/hooks";
import { call, newKey, read, segment, type Request } from "../api/client";
import { print } from "../api/json";
import type { ForkPreview, Run } from "../api/types";
import { CopyAs } from "../actions";
import { useLoaded } from "../load";
import { go, href } from "../router";
import { Dialog, Refusal } from "../ui/basics";

/** Fork starts a new run from a record, after it has said what would happen again. */
export function Fork({ id, seq, close }: { id: string; seq: number; close: () => void }) {
  const path = `v1/runs/${segment(id)}/fork`;
  const preview = useLoaded((s) => read<ForkPreview>(path, { seq }, s), [id, seq]);
  const [error, setError] = useState<unknown>();
  const [key] = useState(newKey);
  const request = (): Request => ({ method: "POST", path, body: { seq }, key });
  const effects = preview.value?.effects ?? [];
  const run = async () => {
    try {
      const made = await call<Run>(request());
      close();
      go(href(["runs", made.run_id]));
    } catch (e) {
      setError(e);
    }
  };
  return (
    <Dialog title={`Fork from record ${seq}`} close={close}>
      <p>A new run goes on from the state after this record. This run stays as it is.</p>
      {preview.value && (effects.length === 0 ? <p>No effect that already happened would happen again.</p> : (
        <><p>Effects that happened after it in this run, and would happen again:</p>
          <ul>{effects.map((e, i) => <li key={i}><code>{e.type}</code> at {e.node}{e.unsafe && <strong> — it is not meant to happen twice</strong>} <span class="faint clip">{print(e.payload ?? null)}</span></li>)}</ul></>
      ))}
      <Refusal error={error ?? preview.error} />
      <footer><CopyAs command={["fork", id, "--at", String(seq)]} request={request} /><button type="button" onClick={close}>Leave it</button><button type="button" class="primary" disabled={!preview.value} onClick={run}>Fork</button></footer>
    </Dialog>
  );
}
