// Why what is shown can be believed: the chain of hashes, what a signed checkpoint says, the code that decides the same again.

import { useState } from "preact/hooks";
import { address, read, segment } from "../api/client";
import { print, type Json } from "../api/json";
import type { Proof, Replay, Run, Verification } from "../api/types";
import { Act, CopyAs } from "../actions";
import { useLoaded } from "../load";
import { given } from "../time";
import { Refusal, Time } from "../ui/basics";

/** Trust checks the evidence of a run, by itself for short ledgers. */
export function Trust({ run }: { run: Run }) {
  const [asked, ask] = useState(run.seq <= 2000 ? 1 : 0);
  const [again, setAgain] = useState(0);
  const [failed, fail] = useState<unknown>();
  const path = `v1/runs/${segment(run.run_id)}`;
  const checked = useLoaded((s) => (asked ? read<Verification>(`${path}/verification`, {}, s) : Promise.resolve(undefined)), [run.run_id, asked, given(run.ended_at)]);
  const replay = useLoaded((s) => (again ? read<Replay>(`${path}/replay`, {}, s) : Promise.resolve(undefined)), [run.run_id, again]);
  const v = checked.value;
  const proof = async () => {
    fail(undefined);
    try {
      save(`${run.run_id}.proof.json`, print((await read<Proof>(`${path}/proof`)).proof as Json, 2));
    } catch (e) {
      fail(e);
    }
  };
  return (
    <section class="trust card" aria-label="Evidence">
      <div role="status">
        <p>{checked.error ? <strong class="bad">The ledger does not hold together.</strong> : v ? <><Yes /> Ledger verified: {v.records} records, each with the hash of the one before. Head <code title={v.head}>{v.head.slice(0, 16)}…</code></> : asked ? "Verifying…" : "Not verified yet."}</p>
        {v && <Signature of={v} />}
        {replay.value && <p>{replay.value.same ? <><Yes /> The code decides every step as it was recorded.</> : `The code decides step ${replay.value.divergence?.step} (${replay.value.divergence?.node}) otherwise now.`}</p>}
      </div>
      <Refusal error={checked.error ?? replay.error ?? failed} />
      <p class="row">
        <button type="button" class="quiet" onClick={() => ask(asked + 1)}>Verify</button>
        <button type="button" class="quiet" onClick={() => setAgain(again + 1)}>Replay the code</button>
        {v?.signed && <><button type="button" class="quiet" onClick={proof}>Download the proof</button><CopyAs command={["proof", run.run_id]} request={() => ({ method: "GET", path: `${path}/proof` })} /></>}
        <a class="small" href={address({ method: "GET", path: `${path}/report` }).href} download={`${run.run_id}.md`}>Report</a>
        <a class="small" href={address({ method: "GET", path: "v1/export", query: { run: run.run_id } }).href} download={`${run.run_id}.bide`}>Export</a>
        {v && (v.signed?.seq ?? 0) < v.records && <Act of={{ label: "Sign now", right: "installation", request: { method: "POST", path: "v1/checkpoint" }, consequence: "The server signs what all ledgers say now, with its key." }} done={() => ask(asked + 1)} />}
      </p>
    </section>
  );
}

const Yes = () => <span class="good" aria-hidden="true">✓</span>;

/** Signature is what a signed checkpoint says of the run. */
function Signature({ of: v }: { of: Verification }) {
  if (v.log_faults?.length) return <p><strong class="bad">The log of checkpoints does not hold together, so no signature counts.</strong> {v.log_faults[0]}</p>;
  const s = v.signed;
  if (!s) return <p>No signed checkpoint speaks for it yet. <span class="faint">Until one does, whoever can write to the store could rewrite it.</span></p>;
  const rest = v.records - s.seq;
  return (
    <p>
      <Yes /> Signed by <strong>{[...s.keys, ...s.unknown].join(", ")}</strong>: the checkpoint of <Time at={s.at} /> speaks for {rest > 0 ? `records 1 to ${s.seq}; ${rest === 1 ? "the one after them has" : `the ${rest} after them have`} none yet` : `all ${s.seq} records`}.{" "}
      <span class="faint">{s.keys.length > 0 ? "Checked with the key of this server." : "This server does not have the key: check the proof with bide verify and the public half."} Log {s.origin}.</span>
    </p>
  );
}

/** save hands a text over as a file. */
function save(name: string, text: string) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // the browser has it by then
}
