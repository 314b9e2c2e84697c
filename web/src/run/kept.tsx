// Why a run is kept: the hold on its tree.

import { read, segment } from "../api/client";
import type { HoldList, Run } from "../api/types";
import { Act, unhold } from "../actions";
import { useLoaded } from "../load";
import { RunLink, Refusal, Time } from "../ui/basics";

/** Kept says whether a run may be deleted, and lets those who may change it. */
export function Kept({ run }: { run: Run }) {
  const path = `v1/runs/${segment(run.run_id)}/hold`;
  const { value, error, again } = useLoaded((s) => read<HoldList>(path, {}, s), [run.run_id]);
  const hold = value?.holds[0];
  return (
    <details class="card" open={!!hold}>
      <summary>{hold ? "It is held" : "Keeping it"}</summary>
      <Refusal error={error} />
      {hold && <p><strong>{hold.reason || "No reason was given"}</strong>, by {hold.actor}, <Time at={hold.at} />{hold.run_id !== run.run_id && <>, on the tree of <RunLink id={hold.run_id} /></>}. Until the hold is lifted nobody can delete this run or another one of its tree.</p>}
      {value && !hold && <p>Nothing keeps it: it can be deleted once it has ended, by a person or by retention.</p>}
      {value && <p>{hold ? <Act of={unhold(run.run_id)} done={again} />
        : <Act of={{ label: "Hold it", right: "admin", reason: "Why it must be kept", command: ["retention", "hold", run.run_id], request: { method: "POST", path, body: {} }, consequence: "Neither this run nor another one of its tree can be deleted until the hold is lifted." }} done={again} />}</p>}
    </details>
  );
}
