// All runs, by a search in the language of the command line.

import { useLayoutEffect, useState } from "preact/hooks";
import { call, read } from "../api/client";
import type { RunCounts, RunInfo, RunPage, StatusCounts } from "../api/types";
import { CopyAs, verb, verbsFor } from "../actions";
import { useLoaded } from "../load";
import { denied } from "../me";
import { href, put, query } from "../router";
import { Dialog, Empty, Refusal, RunLink, Status, Time } from "../ui/basics";

const chips = [["", "All"], ["status:running", "Running"], ["status:waiting", "Waiting"], ["status:paused", "Paused"], ["status:failed", "Failed"], ["status:completed", "Completed"], ["status:cancelled", "Cancelled"], ["is:set-aside", "Set aside"]] as const;
const field = /(^|\s)(status:\S+|is:set-aside)(?=\s|$)/g;
const size = 100;

/** orders are those in which the server lists runs: of a column, the one that a first click asks for and that of a second. */
const orders: Record<string, readonly [string, string]> = { Status: ["status", "status_desc"], Started: ["created", "created_asc"], Changed: ["updated", "updated_asc"] };
const columns = ["Workflow", "Status", "At", "Started", "Changed", "Key"];

/** sorted says how a column is sorted by an order. */
function sorted(column: string, order: string): "ascending" | "descending" | undefined {
  const at = orders[column]?.indexOf(order) ?? -1;
  if (at < 0) return undefined;
  return (at === 0) === (column === "Status") ? "ascending" : "descending";
}

/** find fills a page: a search for words reads on, and its pages may come short. */
async function find(q: string, order: string, cursor: string | undefined, signal: AbortSignal): Promise<RunPage> {
  const out: RunPage = { runs: [], next: cursor };
  for (let i = 0; i < 10; i++) {
    const page = await read<RunPage>("v1/runs", { q, order, limit: size - out.runs.length, cursor: out.next }, signal);
    out.runs.push(...page.runs);
    out.next = page.next;
    if (!page.next || out.runs.length >= size) break;
  }
  return out;
}

export function Runs() {
  const q = query.value.get("q") ?? "";
  const [text, setText] = useState(q);
  const wanted = query.value.get("order") ?? "";
  const order = Object.values(orders).flat().includes(wanted) ? wanted : "created";
  const listing = `${order} ${q}`;
  const [at, setAt] = useState({ listing, cursors: [""] }); // the cursors so far, of this listing
  const pages = at.listing === listing ? at.cursors : [""];
  const setPages = (cursors: string[]) => setAt({ listing, cursors });
  const [picked, pick] = useState<Set<string>>(new Set());
  const cursor = pages.at(-1)!;
  useLayoutEffect(() => { setText(q); pick(new Set()); }, [q]); // before somebody types on
  const live = pages.length === 1;
  const { value, error, again } = useLoaded((s) => find(q, order, cursor, s), [listing, cursor], () => live, 700);
  const others = q.replace(field, " ").trim();
  const counts = useLoaded((s) => read<RunCounts>("v1/stats/runs", { q: others }, s), [others], (_, r) => r.kind.startsWith("run."), 2000);
  const aside = useLoaded((s) => read<RunPage>("v1/runs", { q: `is:set-aside ${others}`.trim(), limit: 99 }, s), [others], (_, r) => r.kind.startsWith("run."), 5000);
  const count = (chip: string): string | undefined => {
    if (chip === "is:set-aside") return aside.value && `${aside.value.runs.length}${aside.value.next ? "+" : ""}`;
    const c = counts.value;
    return c && `${(chip ? c.statuses[chip.slice(7) as keyof StatusCounts] : c.runs).toLocaleString()}${c.partial ? "+" : ""}`;
  };
  const search = (e: Event) => { e.preventDefault(); put({ q: text.trim() }); };
  const runs = value?.runs ?? [];
  const request = () => ({ method: "GET" as const, path: "v1/runs", query: { q, order, limit: size } });
  const sort = (column: string) => {
    const to = orders[column][order === orders[column][0] ? 1 : 0];
    put({ order: to === "created" ? undefined : to });
  };
  return (
    <>
      <h1>Runs</h1>
      <form class="row search" role="search" onSubmit={search}>
        <input class="grow" type="search" aria-label="Search runs" placeholder="status:waiting flow:refund since:1h label:team=ops order-42" value={text} onInput={(e) => setText(e.currentTarget.value)} />
        <button class="primary">Search</button>
        <CopyAs command={order === "created" ? ["ls", ...q.split(/\s+/).filter(Boolean)] : undefined} request={request} />
      </form>
      <div class="toolbar" role="group" aria-label="Status">
        {chips.map(([c, name]) => (
          <button key={c} type="button" class="chip" aria-pressed={c ? q.split(/\s+/).includes(c) : !q.match(field)} onClick={() => put({ q: `${c} ${others}`.trim() })}>{name} {count(c) !== undefined && <b>{count(c)}</b>}</button>
        ))}
      </div>
      <Saved q={q} />
      <Refusal error={error} />
      {picked.size > 0 && <Bulk runs={runs.filter((r) => picked.has(r.run_id))} done={() => { pick(new Set()); again(); }} />}
      {value && runs.length === 0 && <Empty>No runs{q ? <> match <code>{q}</code></> : ""}.</Empty>}
      {runs.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Table">
          <table class="list runs">
            <thead>
              <tr>
                <th><input type="checkbox" aria-label="All on this page" checked={picked.size === runs.length} onChange={(e) => pick(new Set(e.currentTarget.checked ? runs.map((r) => r.run_id) : []))} /></th>
                <th>Run</th>
                {columns.map((c) => (
                  <th key={c} aria-sort={sorted(c, order)}>
                    {orders[c] ? <button type="button" class="sort" title="Sort all runs" onClick={() => sort(c)}>{c}<span aria-hidden="true">{{ ascending: " ↑", descending: " ↓", none: " ↕" }[sorted(c, order) ?? "none"]}</span></button> : c}
                  </th>
                ))}
                <th>Labels</th>
              </tr>
            </thead>
            <tbody>
              {runs.map((r) => (
                <tr key={r.run_id}>
                  <td><input type="checkbox" aria-label={`Choose ${r.run_id}`} checked={picked.has(r.run_id)} onChange={(e) => { const to = new Set(picked); if (e.currentTarget.checked) to.add(r.run_id); else to.delete(r.run_id); pick(to); }} /></td>
                  <td><RunLink id={r.run_id} /></td>
                  <td>{r.workflow}</td>
                  <td><Status of={r.set_aside ? "set_aside" : r.status} /></td>
                  <td class="clip">{r.node}</td>
                  <td><Time at={r.created_at} /></td>
                  <td><Time at={r.updated_at} /></td>
                  <td class="clip">{r.key}</td>
                  <td>{Object.entries(r.labels ?? {}).slice(0, 3).map(([n, v]) => <a key={n} class="label" href={href(["runs"], { q: `label:${n}=${v}` })}>{n}={v}</a>)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <p class="row pager">
        <button type="button" disabled={live} onClick={() => setPages(pages.slice(0, -1))}>Previous page</button>
        <button type="button" disabled={!value?.next} onClick={() => value?.next && setPages([...pages, value.next])}>Next page</button>
        {!live && <span class="faint">page {pages.length}; only the first page is live</span>}
      </p>
    </>
  );
}

/** Saved are searches that are kept in this browser. */
function Saved({ q }: { q: string }) {
  const [views, setViews] = useState<string[]>(() => {
    try {
      const kept: unknown = JSON.parse(localStorage.getItem("bide.views") ?? "[]");
      return Array.isArray(kept) ? kept.filter((v): v is string => typeof v === "string") : [];
    } catch {
      return [];
    }
  });
  const save = (to: string[]) => {
    setViews(to);
    try {
      localStorage.setItem("bide.views", JSON.stringify(to));
    } catch {
      // they hold for this page
    }
  };
  if (views.length === 0 && !q) return null;
  return (
    <div class="toolbar" role="group" aria-label="Kept searches">
      {views.map((v) => (
        <span key={v} class="kept"><a href={href(["runs"], { q: v })}>{v}</a><button type="button" class="quiet" aria-label={`Forget ${v}`} onClick={() => save(views.filter((x) => x !== v))}>✕</button></span>
      ))}
      {q && !views.includes(q) && <button type="button" class="quiet" onClick={() => save([...views, q])}>Keep this search</button>}
    </div>
  );
}

/** Bulk does one thing to several runs, after a look at which they are. */
function Bulk({ runs, done }: { runs: RunInfo[]; done: () => void }) {
  const [asked, ask] = useState<ReturnType<typeof verb>>();
  const [busy, setBusy] = useState(false);
  const [said, say] = useState<Record<string, string>>({});
  const names = (["retry", "pause", "unpause", "cancel", "delete"] as const).filter((v) => runs.some((r) => verbsFor(r.status).includes(v)));
  const name = asked?.label.toLowerCase() as (typeof names)[number];
  const able = runs.filter((r) => asked && verbsFor(r.status).includes(name));
  const run = async () => {
    setBusy(true);
    for (const r of able) {
      try {
        await call(verb(name, r.run_id).request);
        say((old) => ({ ...old, [r.run_id]: "done" }));
      } catch (e) {
        say((old) => ({ ...old, [r.run_id]: e instanceof Error ? e.message : "refused" }));
      }
    }
    setBusy(false);
  };
  return (
    <div class="toolbar bulk">
      <span>{runs.length} chosen</span>
      {names.map((v) => <button key={v} type="button" disabled={!!denied("operate")} title={denied("operate")} class={v === "cancel" || v === "delete" ? "danger" : ""} onClick={() => { say({}); ask(verb(v, "")); }}>{verb(v, "").label}</button>)}
      {runs.length === 2 && <a class="button" href={href(["compare"], { a: runs[1].run_id, b: runs[0].run_id })}>Compare</a>}
      {asked && (
        <Dialog title={`${asked.label} ${able.length} of ${runs.length} runs`} close={() => { ask(undefined); if (Object.keys(said).length) done(); }}>
          <p>For each of them: {asked.consequence}</p>
          <ul class="lines">{able.map((r) => <li key={r.run_id}><span><RunLink id={r.run_id} /> {r.workflow} <Status of={r.status} /></span><span class="faint">{said[r.run_id]}</span></li>)}</ul>
          <footer><button type="button" class={asked.danger ? "danger" : "primary"} disabled={busy || Object.keys(said).length > 0} onClick={run}>{asked.label} {able.length}</button></footer>
        </Dialog>
      )}
    </div>
  );
}
