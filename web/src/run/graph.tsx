// The workflow as a graph, with what this run did of it.

import { Graph as Dagre, layout } from "@dagrejs/dagre";
import { useMemo } from "preact/hooks";
import { read, segment } from "../api/client";
import type { Graph as Shape, RunInfo } from "../api/types";
import type { Rec } from "../api/record";
import { useLoaded } from "../load";

export const end = "(end)";

interface Visit {
  count: number;
  attempts: number;
  last: number; // seq
  failed: boolean;
}

/** trace follows a run through its nodes up to a record. */
export function trace(records: Rec[], seq: number) {
  const visits = new Map<string, Visit>();
  const edges = new Map<string, number>();
  let before: string | undefined;
  for (const r of records) {
    if (r.seq > seq) break;
    const node = r.node;
    if ((r.kind === "step.planned" || r.kind === "step.failed") && node) {
      if (before !== undefined) edges.set(`${before}\n${node}`, (edges.get(`${before}\n${node}`) ?? 0) + 1);
      before = node;
      const v = visits.get(node) ?? { count: 0, attempts: 0, last: 0, failed: false };
      visits.set(node, { count: v.count + 1, attempts: v.attempts, last: r.seq, failed: r.kind === "step.failed" });
    } else if (r.kind === "run.completed" && before) {
      edges.set(`${before}\n${end}`, (edges.get(`${before}\n${end}`) ?? 0) + 1);
    } else if (node && visits.has(node)) {
      const v = visits.get(node)!;
      v.last = r.seq;
      if (r.kind === "effect.started") v.attempts++;
      if (r.kind === "effect.failed") v.failed = !r.data.retry_at;
      if (r.kind === "effect.completed") v.failed = false;
    }
  }
  return { visits, edges };
}

/** merged is two shapes drawn as one, and what is only in one of them. */
export function merged(now: Shape, before: Shape) {
  const keys = (s: Shape) => new Set(s.nodes.flatMap((n) => [n.id, ...(n.exits ?? []).map((to) => `${n.id}\n${to}`)]));
  const [a, b] = [keys(now), keys(before)];
  const differs = new Map<string, "added" | "removed">();
  for (const k of a) if (!b.has(k)) differs.set(k, "added");
  for (const k of b) if (!a.has(k)) differs.set(k, "removed");
  const exits = new Map<string, Set<string>>();
  for (const n of [...now.nodes, ...before.nodes]) exits.set(n.id, new Set([...(exits.get(n.id) ?? []), ...(n.exits ?? [])]));
  const shape: Shape = { entry: now.entry, nodes: [...exits].map(([id, to]) => ({ id, exits: [...to] })) };
  return { shape, differs };
}

/** useShape loads the graph of a run's workflow; without one there is what was visited. */
export function useShape(run: RunInfo | undefined): Shape | undefined {
  const { value } = useLoaded((s) => (run ? read<Shape>(`v1/workflows/${segment(run.workflow)}/versions/${segment(run.version)}/graph`, {}, s).catch(() => undefined) : Promise.resolve(undefined)), [run?.workflow, run?.version]);
  return value;
}

interface Props {
  /** words under nodes, instead of what one run did there; bad ones stand out */
  notes?: Map<string, { text: string; bad: boolean }>;
  /** what is only in this shape, or only in the other one: "node" or "node\nnode" */
  differs?: Map<string, "added" | "removed">;
  shape?: Shape;
  records: Rec[];
  run?: RunInfo;
  seq: number;
  selected?: string;
  select: (seq: number) => void;
}

const height = 46;

/** bounds is the box that holds all nodes and edges, with a margin. */
function bounds(g: Dagre) {
  const edges = g.edges().flatMap((e) => (g.edge(e) as { points: { x: number; y: number }[] }).points);
  const corners = g.nodes().flatMap((id) => {
    const n = g.node(id) as { x: number; y: number; width: number; height: number };
    return [{ x: n.x - n.width / 2, y: n.y - n.height / 2 }, { x: n.x + n.width / 2, y: n.y + n.height / 2 }];
  });
  const all = [...edges, ...corners];
  const x = Math.min(...all.map((p) => p.x)) - 14;
  const y = Math.min(...all.map((p) => p.y)) - 14;
  return { x, y, width: Math.max(...all.map((p) => p.x)) + 14 - x, height: Math.max(...all.map((p) => p.y)) + 14 - y };
}

/** RunGraph draws it. Without a shape it draws the nodes that were visited. */
export function RunGraph({ shape, records, run, seq, selected, select, notes, differs }: Props) {
  const { visits, edges } = useMemo(() => trace(records, seq), [records, seq]);
  const all = useMemo(() => trace(records, Infinity), [records]); // so that the drawing stands still while one scrubs
  const drawn = useMemo(() => {
    const g = new Dagre({ multigraph: false });
    g.setGraph({ rankdir: "TB", nodesep: 28, ranksep: 36, marginx: 12, marginy: 12 });
    g.setDefaultEdgeLabel(() => ({}));
    const add = (id: string) => g.hasNode(id) || g.setNode(id, { width: Math.max(notes ? 150 : 96, Math.min(40, id.length) * 8 + 44), height: id === end ? 34 : height });
    for (const n of shape?.nodes ?? []) {
      add(n.id);
      for (const to of n.exits ?? []) { add(to); g.setEdge(n.id, to); }
    }
    for (const key of all.edges.keys()) {
      const [from, to] = key.split("\n");
      add(from);
      add(to);
      if (!g.hasEdge(from, to)) g.setEdge(from, to);
    }
    for (const id of all.visits.keys()) add(id);
    layout(g);
    return g;
  }, [shape, all]);
  if (drawn.nodes().length === 0) return <p class="faint">No step yet.</p>;
  const size = bounds(drawn);
  const state = (id: string): string => {
    const note = notes?.get(id);
    if (note) return note.bad ? "failed" : "completed";
    const v = visits.get(id);
    if (id === end) return run?.status === "completed" && edges.size > 0 ? "completed" : "never";
    if (!v) return "never";
    if (run?.node === id && run.status !== "completed") return run.status;
    return v.failed ? "failed" : "completed";
  };
  const path = (points: { x: number; y: number }[]) => points.map((p, i) => `${i ? "L" : "M"}${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("");
  return (
    <div class="graph scroll" tabIndex={0} role="group" aria-label="Graph of the workflow">
      <svg width={size.width} height={size.height} viewBox={`${size.x} ${size.y} ${size.width} ${size.height}`}>
        <defs>
          {["idle", "taken"].map((k) => (
            <marker key={k} id={`arrow-${k}`} class={`arrow ${k}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" /></marker>
          ))}
        </defs>
        {drawn.edges().map((e: { v: string; w: string }) => {
          const n = edges.get(`${e.v}\n${e.w}`) ?? 0;
          const points = (drawn.edge(e) as { points: { x: number; y: number }[] }).points;
          const mid = points[Math.floor(points.length / 2)];
          return (
            <g key={`${e.v}\n${e.w}`} class={`edge ${n ? "taken" : ""} ${differs?.get(`${e.v}\n${e.w}`) ?? ""}`}>
              <path d={path(points)} marker-end={`url(#arrow-${n ? "taken" : "idle"})`} />
              {n > 1 && <text x={mid.x + 6} y={mid.y + 4}>{n}×</text>}
            </g>
          );
        })}
        {drawn.nodes().map((id: string) => {
          const n = drawn.node(id) as { x: number; y: number; width: number; height: number };
          const v = visits.get(id);
          const s = state(id);
          const words = notes ? notes.get(id)?.text ?? "" : differs?.get(id) ?? [v && v.count > 1 ? `${v.count} times` : "", v && v.attempts ? `${v.attempts + 1} attempts` : "", s === "never" ? "" : s].filter(Boolean).join(", ");
          const choose = () => v && select(v.last);
          return (
            <g key={id} class={`node ${s} ${differs?.get(id) ?? ""} ${selected === id ? "selected" : ""}`} transform={`translate(${n.x - n.width / 2},${n.y - n.height / 2})`}
              role={v ? "button" : "img"} tabIndex={v ? 0 : undefined} aria-label={`${id === end ? "end" : id}${words && id !== end ? ` ${words}` : ""}`}
              onClick={choose} onKeyDown={(e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), choose())}>
              <rect width={n.width} height={n.height} rx={id === end ? 17 : 8} />
              <text class="name" x={n.width / 2} y={words && id !== end ? 20 : n.height / 2 + 4.5}>{id === end ? "end" : id}</text>
              {words && id !== end && <text class="sub" x={n.width / 2} y={36}>{` ${words}`}</text>}
            </g>
          );
        })}
      </svg>
    </div>
  );
}
