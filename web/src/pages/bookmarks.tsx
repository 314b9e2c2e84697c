// Marked records of runs: to come back to, to compare, to fork from.

import { useState } from "preact/hooks";
import { read, segment } from "../api/client";
import type { Bookmark, BookmarkList } from "../api/types";
import { Act, CopyAs } from "../actions";
import { useLoaded } from "../load";
import { denied } from "../me";
import { href, put, query } from "../router";
import { Empty, Refusal, RunLink, Time } from "../ui/basics";
import { Fork } from "../run/fork";

export function Bookmarks() {
  const q = query.value.get("q") ?? "";
  const tag = query.value.get("tag") ?? "";
  const [text, setText] = useState(q);
  const [picked, pick] = useState<string[]>([]); // names, two at most
  const [forking, fork] = useState<Bookmark>();
  const { value, error, again } = useLoaded((s) => read<BookmarkList>("v1/bookmarks", { q, tag }, s), [q, tag]);
  const marks = value?.bookmarks ?? [];
  const tags = [...new Set([...marks.flatMap((b) => b.tags ?? []), ...(tag ? [tag] : [])])].sort();
  const pair = picked.map((name) => marks.find((b) => b.name === name)).filter((b) => !!b);
  const request = () => ({ method: "GET" as const, path: "v1/bookmarks", query: { q, tag } });
  return (
    <>
      <h1>Bookmarks</h1>
      <form class="row search" role="search" onSubmit={(e) => { e.preventDefault(); put({ q: text.trim() }); }}>
        <input class="grow" type="search" aria-label="Search bookmarks" placeholder="in name, note or run" value={text} onInput={(e) => setText(e.currentTarget.value)} />
        <button class="primary">Search</button>
        <CopyAs command={["bookmark", "ls", ...(tag ? ["--tag", tag] : []), ...(q ? [q] : [])]} request={request} />
      </form>
      {tags.length > 0 && (
        <div class="toolbar" role="group" aria-label="Tags">
          <button type="button" class="chip" aria-pressed={!tag} onClick={() => put({ tag: undefined })}>All</button>
          {tags.map((t) => <button key={t} type="button" class="chip" aria-pressed={t === tag} onClick={() => put({ tag: t })}>{t}</button>)}
        </div>
      )}
      <Refusal error={error} />
      {value && marks.length === 0 && <Empty>{q || tag ? "No bookmark matches." : "Nothing is marked yet. A record of a run is marked where one looks at it: “Bookmark…”."}</Empty>}
      {picked.length > 0 && (
        <div class="toolbar bulk">
          <span>{picked.join(" and ")}</span>
          {pair.length === 2 ? <a class="button" href={href(["compare"], { a: pair[0].run_id, at: pair[0].seq, b: pair[1].run_id, bt: pair[1].seq })}>Compare</a> : <span class="faint">Choose another one to compare it with.</span>}
        </div>
      )}
      {marks.length > 0 && (
        <section class="card"><ul class="lines" aria-label="Bookmarks">
          {marks.map((b) => (
            <li key={b.name}>
              <div>
                <label class="check"><input type="checkbox" aria-label={`Choose ${b.name}`} checked={picked.includes(b.name)} onChange={(e) => { const on = e.currentTarget.checked; pick((old) => [...old.filter((n) => n !== b.name).slice(on ? -1 : 0), ...(on ? [b.name] : [])]); }} /></label>{" "}
                <a href={href(["runs", b.run_id], { seq: b.seq })}><strong>{b.name}</strong></a> {(b.tags ?? []).map((t) => <a key={t} class="label" href={href(["bookmarks"], { tag: t })}>{t}</a>)}
                <p class="faint">record {b.seq} of <RunLink id={b.run_id} seq={b.seq} />{b.actor && <>, by {b.actor}</>}, <Time at={b.at} /></p>
                {b.note && <p class="wrap">{b.note}</p>}
              </div>
              <span class="row">
                <button type="button" disabled={!!denied("operate")} title={denied("operate")} onClick={() => fork(b)}>Fork…</button>
                <Act of={{ label: "Remove", danger: true, command: ["bookmark", "rm", b.name], request: { method: "DELETE", path: `v1/bookmarks/${segment(b.name)}` }, consequence: "The mark goes; the run stays as it is." }} done={() => { pick(picked.filter((n) => n !== b.name)); again(); }} />
              </span>
            </li>
          ))}
        </ul></section>
      )}
      {forking && <Fork id={forking.run_id} seq={forking.seq} close={() => fork(undefined)} />}
    </>
  );
}
