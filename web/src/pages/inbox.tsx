// Everything that waits for a person, by deadline, with what it takes to answer.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { call, Problem, segment } from "../api/client";
import { get, print } from "../api/json";
import type { Accepted, Wait } from "../api/types";
import { decided, failure, listed, more, open, settle } from "../inbox";
import { href, put, query } from "../router";
import { asks } from "../words";
import { Answer, Deadline } from "../ui/answer";
import { SendLink } from "../ui/link";
import { Dialog, Empty, Refusal, RunLink, Time } from "../ui/basics";

const kinds: Record<string, string> = { question: "Questions", form: "Forms", tool_approval: "Tool calls", budget: "Budgets", attention: "In doubt", job: "Jobs", custom: "Other" };

export function Inbox() {
  const kind = query.value.get("kind") ?? "";
  const flow = query.value.get("flow") ?? "";
  const all = listed.value;
  const shown = all.filter((w) => (!kind || w.kind === kind) && (!flow || w.workflow === flow));
  const [kept, keep] = useState<Wait | undefined>(); // what is looked at stays, even when somebody else answers it
  const wanted = query.value.get("wait") ?? "";
  const live = shown.find((w) => w.wait_id === wanted) ?? all.find((w) => w.wait_id === wanted);
  const current = live ?? (kept && kept.wait_id === wanted ? kept : undefined) ?? shown[0];

  useLayoutEffect(() => { // before a key can choose another one
    if (current) {
      keep(current);
      if (current.wait_id !== wanted) put({ wait: current.wait_id });
    }
  }, [current?.wait_id, live]);

  useEffect(() => { // what is chosen is in sight in the list; the page stays where it is
    const at = document.querySelector<HTMLElement>(".wait-list [aria-current]");
    const list = at?.closest("ul");
    if (at && list && (at.offsetTop < list.scrollTop || at.offsetTop + at.offsetHeight > list.scrollTop + list.clientHeight)) list.scrollTop = at.offsetTop - list.clientHeight / 3;
  }, [current?.wait_id]);

  const next = () => {
    const i = shown.findIndex((w) => w.wait_id === current?.wait_id);
    const to = shown[(i + 1) % Math.max(1, shown.length)];
    if (to) put({ wait: to.wait_id });
  };
  const latest = useRef(next); // a key that is pressed between a drawing and its effects still finds the list as drawn
  latest.current = next;
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test((e.target as HTMLElement).tagName)) return;
      if (e.key === "n") {
        e.preventDefault();
        latest.current();
        return;
      }
      const button = document.querySelector<HTMLButtonElement>(`.wait-pane [data-key="${CSS.escape(e.key)}"]`);
      if (button) {
        e.preventDefault();
        button.click();
      }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);

  const count = (k: string) => all.filter((w) => w.kind === k).length;
  const flows = [...new Set(all.map((w) => w.workflow))].sort();
  return (
    <>
      <h1>Inbox</h1>
      <div class="toolbar" role="group" aria-label="Filters">
        <button type="button" class="chip" aria-pressed={!kind} onClick={() => put({ kind: undefined, wait: undefined })}>All <b>{all.length}{more.value ? "+" : ""}</b></button>
        {Object.entries(kinds).map(([k, name]) => (count(k) > 0 || kind === k) && (
          <button key={k} type="button" class="chip" aria-pressed={kind === k} onClick={() => put({ kind: k, wait: undefined })}>{name} <b>{count(k)}</b></button>
        ))}
        {flows.length > 1 && (
          <select aria-label="Workflow" value={flow} onChange={(e) => put({ flow: e.currentTarget.value, wait: undefined })}>
            <option value="">every workflow</option>{flows.map((f) => <option key={f}>{f}</option>)}
          </select>
        )}
        <span class="keys faint"><kbd>n</kbd> next, <kbd>a</kbd> approve, <kbd>e</kbd> edit, <kbd>r</kbd> reject, <kbd>x</kbd> respond</span>
      </div>
      <Refusal error={failure.value} />
      {open.value && shown.length === 0 && !current && <Empty>Nothing waits for a person{kind || flow ? " among these" : ""}.</Empty>}
      {current && (
        <div class="inbox">
          <ul class="wait-list" aria-label="Open waits">
            {shown.slice(0, 300).map((w) => (
              <li key={w.wait_id}>
                <a href={href(["inbox"], { kind, flow, wait: w.wait_id })} aria-current={w.wait_id === current.wait_id ? "true" : undefined}
                  onClick={(e) => { e.preventDefault(); put({ wait: w.wait_id }); }}>
                  <strong>{asks(w)}</strong>
                  <span class="faint">{w.workflow} · <Time at={w.created_at} />{w.expires_at && <> · due <Time at={w.expires_at} /></>}</span>
                </a>
              </li>
            ))}
            {shown.length > 300 && <li class="faint">and {shown.length - 300} more; filter to see them</li>}
          </ul>
          <Pane key={current.wait_id} wait={current} all={shown} next={next} />
        </div>
      )}
    </>
  );
}

function Pane({ wait, all, next }: { wait: Wait; all: Wait[]; next: () => void }) {
  const tool = wait.items?.[0]?.name;
  const same = tool ? all.filter((w) => w.kind === "tool_approval" && w.items?.[0]?.name === tool && w.items[0].allowed_decisions?.includes("approve")) : [];
  const [batch, setBatch] = useState(false);
  return (
    <article class="wait-pane card" aria-label="The wait">
      <h2>{asks(wait)}</h2>
      {wait.message && wait.kind !== "tool_approval" && wait.message !== asks(wait) && <p class="prompt">{wait.message}</p>}
      <p class="faint">Run <RunLink id={wait.run_id} /> of {wait.workflow}, at {wait.node}, asked <Time at={wait.created_at} /><Deadline wait={wait} />
        {!!wait.assignees?.length && <> · for {wait.assignees.join(", ")}</>}</p>
      <Answer wait={wait} />
      {decided.value.has(wait.wait_id) && all.length > 0 && <p><button type="button" data-key="n" onClick={next}>Next <kbd>n</kbd></button></p>}
      {!decided.value.has(wait.wait_id) && <p class="row"><SendLink wait={wait.wait_id} />
        {same.length > 1 && <button type="button" class="quiet" onClick={() => setBatch(true)}>Decide about all {same.length} calls of {tool}…</button>}</p>}
      {batch && <Batch waits={same} close={() => setBatch(false)} />}
    </article>
  );
}

/** Batch decides about calls of one tool, one by one, and says what became of each. */
function Batch({ waits, close }: { waits: Wait[]; close: () => void }) {
  const [fixed] = useState(waits);
  const [picked, pick] = useState(() => new Set(waits.map((w) => w.wait_id)));
  const [said, say] = useState<Record<string, string>>({});
  const [busy, setBusy] = useState(false);
  const decide = async (type: "approve" | "reject") => {
    setBusy(true);
    for (const w of fixed.filter((x) => picked.has(x.wait_id) && !decided.value.has(x.wait_id))) {
      const item = w.items![0];
      try {
        const body = { decisions: [{ tool_call_id: item.tool_call_id, args_sha256: item.args_sha256, type }] };
        const { wait } = await call<Accepted>({ method: "POST", path: `v1/waits/${segment(w.wait_id)}/answer`, body });
        if (wait.decision) settle(w.wait_id, wait.decision);
        say((old) => ({ ...old, [w.wait_id]: type === "approve" ? "approved" : "rejected" }));
      } catch (e) {
        if (e instanceof Problem && e.decision) settle(w.wait_id, e.decision);
        say((old) => ({ ...old, [w.wait_id]: e instanceof Error ? e.message : "refused" }));
      }
    }
    setBusy(false);
  };
  return (
    <Dialog title={`Calls of ${fixed[0].items![0].name}`} close={close}>
      <ul class="lines">
        {fixed.map((w) => (
          <li key={w.wait_id}>
            <label class="check"><input type="checkbox" disabled={busy || !!said[w.wait_id]} checked={picked.has(w.wait_id)} onChange={(e) => {
              const to = new Set(picked);
              if (e.currentTarget.checked) to.add(w.wait_id);
              else to.delete(w.wait_id);
              pick(to);
            }} /> <code class="clip">{print(get(w.items![0] as never, "args") ?? null)}</code></label>
            <span class="faint">{said[w.wait_id]}</span>
          </li>
        ))}
      </ul>
      <footer>
        <button type="button" class="danger" disabled={busy} onClick={() => decide("reject")}>Reject these</button>
        <button type="button" class="primary" disabled={busy} onClick={() => decide("approve")}>Approve these as they are</button>
      </footer>
    </Dialog>
  );
}
