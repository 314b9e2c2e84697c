// The workers of this server.

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
      <p class="faint">Those of this server. Others that share its store are not listed.</p>
      <Refusal error={error} />
      {value?.workers.length === 0 && <Empty>No worker is at work in this server. Runs go on where one is: <code>bide work</code></Empty>}
      {!!value?.workers.length && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Table"><table class="list">
          <thead><tr><th>Worker</th><th>Runs at the moment</th><th>Taken on</th><th>Set aside</th><th>Failed calls of the store</th><th>Next timer</th></tr></thead>
          <tbody>{value.workers.map((w) => (
            <tr key={w.id}><td class="mono">{w.id}</td><td>{w.driving}</td><td>{w.claimed}</td><td>{w.set_aside > 0 ? <a href={href(["runs"], { q: "is:set-aside" })}>{w.set_aside}</a> : 0}</td><td>{w.errors}</td><td><Time at={w.next_wake} /></td></tr>
          ))}</tbody>
        </table></div>
      )}
    </>
  );
}
