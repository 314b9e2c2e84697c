// The runs below a run, each opened to its own graph and to those below it.

import { useState } from "preact/hooks";
import { read, segment } from "../api/client";
import type { RunInfo, Tree } from "../api/types";
import { useLoaded } from "../load";
import { go, href } from "../router";
import { doing, titled } from "../words";
import { RunLink, Status, Time } from "../ui/basics";
import { RunGraph, useShape } from "./graph";
import { useRecords } from "./ledger";

/** Below lists the children of a run, by the tree that the server gives. */
export function Below({ run }: { run: RunInfo }) {
  const tree = useLoaded((s) => read<Tree>(`v1/runs/${segment(run.run_id)}/tree`, {}, s), [run.run_id], (_, r) => (r.kind === "run.started" ? r.data.parent !== undefined : r.kind.startsWith("run.")));
  const runs = tree.value?.runs.slice(1) ?? [];
  if (runs.length === 0) return null;
  return (
    <section class="card" aria-label="Runs below it">
      <h2>{runs.length}{tree.value?.more && "+"} runs below it</h2>
      <Children of={run.run_id} runs={runs} />
    </section>
  );
}

const shown = 50;

function Children({ of, runs }: { of: string; runs: RunInfo[] }) {
  const own = runs.filter((r) => r.parent === of);
  return (
    <div class="children">
      {own.slice(0, shown).map((r) => <Child key={r.run_id} run={r} runs={runs} />)}
      {own.length > shown && <p><a href={href(["runs"], { q: `parent:${of}` })}>and {own.length - shown} more</a></p>}
    </div>
  );
}

function Child({ run, runs }: { run: RunInfo; runs: RunInfo[] }) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(e) => e.target === e.currentTarget && setOpen(e.currentTarget.open)}>
      <summary><Status of={run.status} /> {titled(run)} <span class="faint"><Time at={run.updated_at} /></span></summary>
      {open && <Inside run={run} />}
      {open && <Children of={run.run_id} runs={runs} />}
    </details>
  );
}

function Inside({ run }: { run: RunInfo }) {
  const { records } = useRecords(run.run_id);
  const shape = useShape(run);
  return (
    <>
      <p><RunLink id={run.run_id} /> {run.status === "running" || run.status === "waiting" ? run.node && `is at ${run.node}` : doing(run)}</p>
      <RunGraph shape={shape} records={records} run={run} seq={records.length} select={(seq) => go(href(["runs", run.run_id], { seq }))} />
    </>
  );
}
