// The workers of the store.

import { read } from "../api/client";
import type { WorkerList } from "../api/types";
import { useLoaded } from "../load";
import { href } from "../router";
import { Empty, Refusal, Time } from "../ui/basics";

export function Workers() {
  const { value, error } = useLoaded((s) => read<WorkerList>("v1/workers", {}, s), [], () => true, 2000);
  return (
    <>
      <h1>Workers</h1>
      <p class="faint">Those that are at work on the store, in whatever process.</p>
      <Refusal error={error} />
      {value?.workers.length === 0 && <Empty>No worker is at work. Runs go on where one is: <code>bide work</code></Empty>}
      {!!value?.workers.length && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Table"><table class="list">
          <thead><tr><th>Worker</th><th>State</th><th>Started</th><th>Runs at the moment</th><th>Taken on</th><th>Set aside</th><th>Failed calls of the store</th><th>Next timer</th></tr></thead>
          <tbody>{value.workers.map((w) => (
            <tr key={w.id}><td class="mono">{w.id}</td><td>{!w.alive ? "dead" : w.drained ? "drained" : "at work"}</td><td><Time at={w.since} /></td><td>{w.runs}</td><td>{w.here?.claimed}</td><td>{w.here && w.here.set_aside > 0 ? <a href={href(["runs"], { q: "is:set-aside" })}>{w.here.set_aside}</a> : w.here?.set_aside}</td><td>{w.here?.errors}</td><td><Time at={w.here?.next_wake} /></td></tr>
          ))}</tbody>
        </table></div>
      )}
    </>
  );
}
