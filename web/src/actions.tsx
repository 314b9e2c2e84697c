// Actions: a request, the command that does the same, and what it leads to in words.

import { useRef, useState } from "preact/hooks";
import { call, curl, newKey, shell, type Request } from "./api/client";
import { denied, type Right } from "./me";
import { Copy, Dialog, Refusal } from "./ui/basics";

/** An action that a button offers. */
export interface Action {
  label: string;
  request: Request;
  /** words of the command that does the same */
  command?: string[];
  /** what it leads to; asked for before it is done */
  consequence?: string;
  /** whether a reason may be given, or what it is for; by default for the ledger */
  reason?: boolean | string;
  danger?: boolean;
  primary?: boolean;
  /** what it needs; without it the button is off and says so. Defaults to operate. */
  right?: Right;
}

/** CopyAs offers an action's command and its request. */
export function CopyAs({ command, request }: { command?: string[]; request: () => Request }) {
  return (
    <details class="copyas">
      <summary aria-label="Copy as a command or as curl" title="Copy as…"><svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true"><path d="M5.5 5.5V3a1 1 0 0 1 1-1H13a1 1 0 0 1 1 1v6.5a1 1 0 0 1-1 1h-2.5M3 5.5h6.5a1 1 0 0 1 1 1V13a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V6.5a1 1 0 0 1 1-1z" /></svg></summary>
      <div class="menu">
        {command && <Copy class="item" label="Copy as command" text={() => shell("bide", ...command)} />}
        <Copy class="item" label="Copy as curl" text={() => curl(request())} />
      </div>
    </details>
  );
}

/** Act is the button of an action. */
export function Act({ of: a, done }: { of: Action; done?: (answer: unknown) => void }) {
  const [asking, ask] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [reason, setReason] = useState("");
  const key = useRef(newKey());
  const request = (): Request => ({ ...a.request, body: reason ? { ...(a.request.body as object), reason } : a.request.body, key: key.current });
  const run = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const answer = await call(request());
      key.current = newKey();
      ask(false);
      done?.(answer);
    } catch (e) {
      setError(e);
      ask(true);
    } finally {
      setBusy(false);
    }
  };
  const why = denied(a.right ?? "operate");
  const begin = () => (a.consequence || a.reason ? ask(true) : run());
  return (
    <span class="act">
      <button type="button" class={a.danger ? "danger" : a.primary ? "primary" : ""} disabled={busy || !!why} title={why} aria-description={why} onClick={begin}>{a.label}</button>
      <CopyAs command={a.command} request={request} />
      {asking && (
        <Dialog title={a.label} close={() => ask(false)}>
          {a.consequence && <p>{a.consequence}</p>}
          {a.reason && <label class="field">{a.reason === true ? "Reason, for the ledger" : a.reason} <input type="text" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></label>}
          <Refusal error={error} />
          <footer>
            <button type="button" onClick={() => ask(false)}>Leave it</button>
            <button type="button" class={a.danger ? "danger" : "primary"} disabled={busy} onClick={run}>{a.label}</button>
          </footer>
        </Dialog>
      )}
    </span>
  );
}

type Verb = "pause" | "unpause" | "cancel" | "retry" | "delete" | "release";

/** Denied says why what follows is off. */
export function Denied({ right }: { right: Right }) {
  const why = denied(right);
  return why ? <p class="denied" role="note">{why}</p> : null;
}

/** verb is a change of a run. */
export function verb(name: Verb, runID: string): Action {
  const path = `v1/runs/${encodeURIComponent(runID)}`;
  const post = (label: string, more: Partial<Action> = {}): Action => ({ label, request: { method: "POST", path: `${path}/${name}`, body: {} }, command: [name, runID], reason: true, ...more });
  switch (name) {
    case "pause": return post("Pause", { consequence: "Nothing executes and no timer fires until it is unpaused. Answers and events are accepted and kept." });
    case "unpause": return post("Unpause", { primary: true, reason: false });
    case "cancel": return post("Cancel", { danger: true, consequence: "The run ends for good. Its open waits are closed, and the runs below it that it waits for are cancelled too. What has happened stays in the ledger." });
    case "retry": return post("Retry", { primary: true, consequence: "It goes on from the step that failed. Effects that failed are made again, those that completed are not." });
    case "release": return post("Let workers take it", { primary: true, reason: false, command: undefined, right: "admin" });
    case "delete": return { label: "Delete", request: { method: "DELETE", path }, command: ["delete", runID], danger: true, consequence: "The run and all runs below it are removed with their ledgers. This cannot be undone." };
  }
}

/** unhold lifts the hold on a run's tree. */
export const unhold = (runID: string): Action => ({
  label: "Lift the hold", right: "admin", danger: true, command: ["retention", "unhold", runID], request: { method: "DELETE", path: `v1/runs/${encodeURIComponent(runID)}/hold` },
  consequence: "From then on the run and its tree may be deleted, and the next removal of old runs takes them if a rule does.",
});

/** verbsFor are the changes that a run in a status can take. */
export function verbsFor(status: string, setAside?: string): Verb[] {
  const aside: Verb[] = setAside ? ["release"] : [];
  switch (status) {
    case "running": case "waiting": return [...aside, "pause", "cancel"];
    case "paused": return [...aside, "unpause", "cancel"];
    case "failed": return [...aside, "retry", "delete"];
  }
  return [...aside, "delete"];
}
