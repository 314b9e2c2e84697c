// The workers of the store: who is alive, what they drive, and how far behind they are.

import { read, segment } from "../api/client";
import type { Worker, WorkerList } from "../api/types";
import { Act } from "../actions";
import { useLoaded } from "../load";
import { denied, me } from "../me";
import { href } from "../router";
import { given, now, span } from "../time";
import { Empty, Refusal, Status, Time } from "../ui/basics";

const state = (w: Worker) => (!w.alive ? "dead" : w.drained ? (w.runs > 0 ? "draining" : "drained") : "at work");

/** lag is by how much a worker is behind its next timer. */
const lag = (w: Worker) => (given(w.here?.next_wake) ? Math.max(0, now.value - Date.parse(w.here!.next_wake!)) : undefined);

export function Workers() {
  const why = denied("installation");
  const { value, error, again } = useLoaded((s) => (why || !me.value ? Promise.resolve(undefined) : read<WorkerList>("v1/workers", {}, s)), [why, me.value], () => true, 2000);
  return (
    <>
      <h1>Workers</h1>
      <p class="faint">Those that are at work on the store, in whatever process. What a worker has done so far is known of that of this server.</p>
      {why && <p class="denied" role="note">{why}</p>}
      <Refusal error={error} />
      {value?.workers.length === 0 && <Empty>No worker is at work. Runs go on where one is: <code>bide work</code></Empty>}
      {!!value?.workers.length && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Table"><table class="list">
          <thead><tr><th>Worker</th><th>State</th><th>Started</th><th>Lease until</th><th>Runs now</th><th>Taken on</th><th>Set aside</th><th>Failed calls</th><th>Next timer</th><th>Lag</th><td class="do" /></tr></thead>
          <tbody>{value.workers.map((w) => {
            const late = lag(w);
            return (
              <tr key={w.id}>
                <td class="mono clip" title={w.id}>{w.id}</td>
                <td><Status of={state(w)} /></td>
                <td><Time at={w.since} /></td><td><Time at={w.alive_until} /></td><td>{w.runs}</td><td>{w.here?.claimed}</td>
                <td>{w.here && w.here.set_aside > 0 ? <a href={href(["runs"], { q: "is:set-aside" })}>{w.here.set_aside}</a> : w.here?.set_aside}</td>
                <td>{w.here?.errors}</td><td><Time at={w.here?.next_wake} /></td><td>{late === undefined ? "–" : late > 2000 ? <strong class="bad">{span(late)}</strong> : "none"}</td>
                <td class="do">{w.alive && (w.drained
                  ? <Act of={{ label: "Undrain", right: "installation", command: ["workers", "undrain", w.id], request: { method: "POST", path: `v1/workers/${segment(w.id)}/undrain`, body: {} } }} done={again} />
                  : <Act of={{ label: "Drain", right: "installation", command: ["workers", "drain", w.id], request: { method: "POST", path: `v1/workers/${segment(w.id)}/drain`, body: {} }, consequence: "It takes on no more runs. Those that it drives it drives on until they wait or end; others take the rest." }} done={again} />)}</td>
              </tr>
            );
          })}</tbody>
        </table></div>
      )}
    </>
  );
}
