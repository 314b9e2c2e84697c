// What proves the store as a whole, and runs that come and go as files.

import { useState } from "preact/hooks";
import { address, call, newKey, Problem, read, type Request } from "../api/client";
import type { Checkpoint, Imported } from "../api/types";
import { Act, CopyAs } from "../actions";
import { useLoaded } from "../load";
import { denied } from "../me";
import { Copy, Refusal, Time } from "../ui/basics";

/** Checkpoints shows the newest signature over all ledgers, to be kept elsewhere. */
export function Checkpoints() {
  const { value, error, again } = useLoaded((s) => read<Checkpoint>("v1/checkpoint", {}, s), [], () => false);
  const none = error instanceof Problem && error.status === 404;
  return (
    <section class="card" aria-label="Checkpoints">
      <h2>Checkpoints</h2>
      {!none && <Refusal error={error} />}
      {none && <p class="faint">Nothing is signed yet.</p>}
      {value && <dl class="facts"><dt>Newest</dt><dd><Time at={value.at} /></dd><dt>Log</dt><dd>{value.origin}, {value.size} entries</dd></dl>}
      <p class="row">
        <Act of={{ label: "Sign now", right: "installation", command: ["checkpoint"], request: { method: "POST", path: "v1/checkpoint" }, consequence: "The server signs what all ledgers say now, with its key." }} done={again} />
        {value && <Copy label="Copy the note" text={value.note} />}
      </p>
      {value && <p class="faint">Kept elsewhere, the note shows later whether the store was put back: <code>bide verify --seen</code>.</p>}
    </section>
  );
}

const runs = (n: number) => (n === 1 ? "one run" : `${n} runs`);

/** Moving takes runs out as one file, and puts those of a file in. */
export function Moving() {
  const why = denied("installation");
  const [artifacts, withArtifacts] = useState(true);
  return (
    <section class="card" aria-label="Moving runs">
      <h2>Moving runs</h2>
      {why ? <p class="denied">{why}</p> : (
        <>
          <p><label class="check"><input type="checkbox" checked={artifacts} onChange={(e) => withArtifacts(e.currentTarget.checked)} /> with artifacts</label></p>
          <p class="row"><a href={address(out(artifacts)).href} download="all.bide">Export all runs</a><CopyAs command={["export", "--to", "all.bide", "--documents", "flow", "--documents", "bookmark", ...(artifacts ? ["--artifacts", "artifacts"] : [])]} request={() => out(artifacts)} /></p>
          <Import artifacts={artifacts} />
        </>
      )}
    </section>
  );
}

const out = (artifacts: boolean): Request => ({ method: "GET", path: "v1/export?all=true&documents=flow&documents=bookmark", query: { artifacts: artifacts || undefined } });

function Import({ artifacts }: { artifacts: boolean }) {
  const [file, choose] = useState<File>();
  const [live, setLive] = useState(false);
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState<Imported>();
  const [error, setError] = useState<unknown>();
  const request = (): Request => ({ method: "POST", path: "v1/import?documents=flow&documents=bookmark", query: { from: file?.name, live: live || undefined, artifacts: artifacts || undefined }, file, key: newKey() });
  const send = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    setDone(undefined);
    setError(undefined);
    try {
      setDone(await call<Imported>(request()));
    } catch (x) {
      setError(x);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={send}>
      <label class="field">An export to import <input type="file" onChange={(e) => { choose(e.currentTarget.files?.[0]); setDone(undefined); setError(undefined); }} /></label>
      <p><label class="check"><input type="checkbox" checked={live} onChange={(e) => setLive(e.currentTarget.checked)} /> let runs that have not ended go on here</label></p>
      <p class="faint">{live ? "Make sure that they do not go on where they come from." : "They become history, which no worker touches."} The file is checked as a whole before anything of it counts. What is here already stays; an import that was cut off is finished by doing it again.</p>
      <Refusal error={error} />
      <p class="row"><button class="primary" disabled={!file || busy}>{busy ? "Sending and checking…" : "Import"}</button>{file && <CopyAs command={["import", file.name, "--documents", "flow", "--documents", "bookmark", ...(live ? ["--live"] : []), ...(artifacts ? ["--artifacts", "artifacts"] : [])]} request={request} />}</p>
      {done && <p class="decided own" role="status">{runs(done.runs)} imported, {done.known} here already; {done.live} to go on, {done.history} as history{done.artifacts > 0 && `; ${done.artifacts} artifacts`}{done.left > 0 && `; ${done.left} blobs and documents left out`}.</p>}
    </form>
  );
}
