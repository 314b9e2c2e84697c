// Answering a wait: a form by its kind. What another person answered meanwhile is shown, never overwritten.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { call, newKey, Problem, segment, type Request } from "../api/client";
import { diff, get, isObject, print, type Json } from "../api/json";
import type { Accepted, Decision, Fault, RunWait, ToolItem } from "../api/types";
import { CopyAs, Denied } from "../actions";
import { denied } from "../me";
import { decided, settle } from "../inbox";
import { given } from "../time";
import { answered, asks } from "../words";
import { Refusal, Time } from "./basics";
import { initial, JsonInput, SchemaForm } from "./form";
import { Changes, Tree } from "./json";

/** Send is how a form hands in its answer; body is what the API takes. */
interface Sending {
  send: (body: Json) => void;
  busy: boolean;
  faults: Fault[];
  copy: (body: () => Json, command?: () => string[]) => ComponentChildren;
}

/** Answer is the form of an open wait, and afterwards how it was answered. */
export function Answer({ wait, done }: { wait: RunWait; done?: () => void }) {
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [own, setOwn] = useState(false);
  const sent = useRef({ text: "", key: newKey() });
  const result = decided.value.get(wait.wait_id);

  const request = (body: Json): Request => {
    const text = print(body);
    if (sent.current.text !== text) sent.current = { text, key: newKey() }; // the same answer again is the same command
    return { method: "POST", path: `v1/waits/${segment(wait.wait_id)}/answer`, body, key: sent.current.key };
  };
  const send = async (body: Json) => {
    setBusy(true);
    setError(undefined);
    try {
      const { wait: closed } = await call<Accepted>(request(body));
      setOwn(true);
      if (closed.decision) settle(wait.wait_id, closed.decision);
      done?.();
    } catch (e) {
      if (e instanceof Problem && e.decision) settle(wait.wait_id, e.decision);
      setError(e);
    } finally {
      setBusy(false);
    }
  };
  if (result) {
    return (
      <div class={own ? "decided own" : "decided"} role="status">
        <p><span aria-hidden="true">✓</span> {sentenceOf(result, own)}</p>
        {!own && error !== undefined && <p>Your answer came after it and changed nothing.</p>}
      </div>
    );
  }
  const sending: Sending = {
    send, busy, faults: error instanceof Problem ? error.faults : [],
    copy: (body, command) => <CopyAs command={command?.()} request={() => request(body())} />,
  };
  return (
    <div class="answer">
      <Denied right="decide" />
      <Body key={wait.wait_id} wait={wait} {...sending} busy={busy || !!denied("decide")} />
      <Refusal error={error} />
    </div>
  );
}

const sentenceOf = (d: Decision, own: boolean) => (own ? `You answered. ${answered(d)}` : answered(d)).replace(/$/, ".");

function Body(p: Sending & { wait: RunWait }) {
  switch (p.wait.kind) {
    case "question": return <Question {...p} />;
    case "form": return <Form {...p} />;
    case "tool_approval": return <Approval {...p} />;
    case "budget": return <Budget {...p} />;
    case "attention": return <Attention {...p} />;
    case "job": return <Job {...p} />;
  }
  return <Free {...p} />;
}

type Props = Sending & { wait: RunWait };
const command = (w: RunWait, ...words: string[]) => () => ["answer", w.wait_id, ...words];

function Question({ wait, send, busy, copy }: Props) {
  const [text, setText] = useState("");
  const choices = wait.choices ?? [];
  const free = wait.allow_free_text || choices.length === 0;
  const submit = (e: Event) => {
    e.preventDefault();
    if (text.trim()) send({ answer: text });
  };
  return (
    <>
      {choices.length > 0 && (
        <div class="choices" role="group" aria-label="Choices">
          {choices.map((c, i) => (
            <span class="act" key={c}>
              <button type="button" class={i === 0 ? "primary" : ""} disabled={busy} onClick={() => send({ answer: c })}>{c}</button>
              {copy(() => ({ answer: c }), command(wait, c))}
            </span>
          ))}
        </div>
      )}
      {free && (
        <form class="row" onSubmit={submit}>
          <label class="grow"><span class={choices.length ? "" : "unseen"}>{choices.length ? "Or in your words" : "Answer"}</span>
            <input type="text" value={text} onInput={(e) => setText(e.currentTarget.value)} /></label>
          <button class={choices.length ? "" : "primary"} disabled={busy || !text.trim()}>Answer</button>
          {copy(() => ({ answer: text }), command(wait, text))}
        </form>
      )}
    </>
  );
}

function Form({ wait, send, busy, faults, copy }: Props) {
  const [value, setValue] = useState<Json | undefined>(() => wait.default ?? initial(wait.response_schema));
  const body = (): Json => ({ answer: value ?? null });
  return (
    <form onSubmit={(e) => { e.preventDefault(); send(body()); }}>
      <SchemaForm schema={wait.response_schema} value={value} change={setValue} faults={faults} />
      <p class="row"><button class="primary" disabled={busy}>Answer</button>{copy(body, command(wait, print(value ?? null)))}</p>
    </form>
  );
}

type Mode = "edit" | "reject" | "respond" | undefined;

function Approval({ wait, send, busy, faults, copy }: Props) {
  const item = wait.items?.[0] as ToolItem;
  const [mode, setMode] = useState<Mode>();
  const [args, setArgs] = useState<Json | undefined>(item.args);
  const [text, setText] = useState("");
  const [remember, setRemember] = useState("");
  const box = useRef<HTMLDivElement>(null);
  const may = (v: string) => (item.allowed_decisions ?? []).includes(v);
  const pin = { tool_call_id: item.tool_call_id, args_sha256: item.args_sha256 };
  const one = (d: { [name: string]: Json }): Json => ({ decisions: [{ ...pin, ...d }] });
  const approve = (): Json => {
    const [scope, match] = remember.split(" ");
    const a = one({ type: "approve" }) as { [name: string]: Json };
    return remember ? { ...a, remember: { scope, match } } : a;
  };
  const body = (): Json =>
    mode === "edit" ? one({ type: "edit", args: args ?? null, ...(text && { reason: text }) })
    : mode === "reject" ? one({ type: "reject", ...(text && { message: text }) })
    : one({ type: "respond", message: text });
  const words = () =>
    mode === "edit" ? ["approve", wait.wait_id, "--args", print(args ?? null)]
    : mode === "reject" ? ["reject", wait.wait_id, ...(text ? ["--message", text] : [])]
    : ["respond", wait.wait_id, text];
  useEffect(() => {
    if (mode) box.current?.querySelector<HTMLElement>("input, textarea, select")?.focus();
  }, [mode]);
  const marks = [item.annotations.destructiveHint && "may destroy something", item.annotations.readOnlyHint && "changes nothing", item.annotations.openWorldHint && "reaches outside", item.annotations.idempotentHint && "safe to repeat"].filter(Boolean);
  return (
    <>
      <p><code>{item.name}</code>{item.source.server && <> of <strong>{item.source.server}</strong></>}{marks.length > 0 && <span class="faint"> · says that it {marks.join(", ")}</span>}</p>
      {item.description && <p class="faint">{item.description}</p>}
      {item.reason && <p class="faint">It asks because: {item.reason}.</p>}
      {mode !== "edit" && <Tree value={item.args} label="Arguments" />}
      <div ref={box}>
        {mode && (
          <form onSubmit={(e) => { e.preventDefault(); send(body()); }}>
            {mode === "edit" && (
              <>
                {isObject(get(item.args_schema ?? null, "properties"))
                  ? <SchemaForm schema={item.args_schema} value={args} change={setArgs} faults={faults} />
                  : <label class="field">Arguments <JsonInput value={args} change={setArgs} /></label>}
                <h4>Your changes</h4>
                <Changes of={diff(item.args, args)} none="None yet: this would be an approval of the arguments as they are." />
              </>
            )}
            <label class="field">
              {mode === "edit" ? "Why (for the ledger)" : mode === "reject" ? "Why not (the model is told)" : "The result that the model gets instead of a call"}
              <textarea rows={2} value={text} onInput={(e) => setText(e.currentTarget.value)} required={mode === "respond"} />
            </label>
            <p class="row">
              <button class={mode === "reject" ? "danger" : "primary"} disabled={busy || (mode === "respond" && !text)} data-send>
                {mode === "edit" ? "Approve with these arguments" : mode === "reject" ? "Reject" : "Respond"}
              </button>
              {copy(body, words)}
              <button type="button" onClick={() => setMode(undefined)}>Back</button>
            </p>
          </form>
        )}
      </div>
      {!mode && (
        <>
          {may("approve") && (
            <label class="row">Afterwards
              <select value={remember} onChange={(e) => setRemember(e.currentTarget.value)}>
                <option value="">ask again each time</option>
                <option value="run tool+args">let this very call pass in this run</option>
                <option value="run tool">let {item.name} pass in this run</option>
                <option value="workflow tool">let {item.name} pass in all runs of this workflow</option>
              </select>
            </label>
          )}
          <div class="choices" role="group" aria-label="Decision">
            {may("approve") && <span class="act"><button type="button" class="primary" data-key="a" disabled={busy} onClick={() => send(approve())}>Approve <kbd>a</kbd></button>{copy(approve, () => ["approve", wait.wait_id])}</span>}
            {may("edit") && <button type="button" data-key="e" disabled={busy} onClick={() => setMode("edit")}>Edit <kbd>e</kbd></button>}
            {may("reject") && <button type="button" class="danger" data-key="r" disabled={busy} onClick={() => setMode("reject")}>Reject <kbd>r</kbd></button>}
            {may("respond") && <button type="button" data-key="x" disabled={busy} onClick={() => setMode("respond")}>Respond <kbd>x</kbd></button>}
          </div>
        </>
      )}
    </>
  );
}

function Budget({ wait, send, busy, faults, copy }: Props) {
  const [limits, setLimits] = useState<Json | undefined>(() => initial(wait.response_schema) ?? get(wait.details ?? null, "limits"));
  const raise = (): Json => ({ type: "raise", limits: limits ?? {} });
  return (
    <>
      {wait.details !== undefined && <Tree value={wait.details} label="Spent so far" />}
      <form onSubmit={(e) => { e.preventDefault(); send(raise()); }}>
        <p>Raised, the run goes on where it stopped and may spend up to the new limits.</p>
        {wait.response_schema ? <SchemaForm schema={wait.response_schema} value={limits} change={setLimits} faults={faults} /> : <label class="field">New limits <JsonInput value={limits} change={setLimits} /></label>}
        <p class="row"><button class="primary" disabled={busy} data-key="a">Raise</button>{copy(raise)}</p>
      </form>
      <p class="row"><button type="button" class="danger" data-key="r" disabled={busy} onClick={() => send({ type: "stop" })}>Stop</button>{copy(() => ({ type: "stop" }))}<span class="faint">The workflow is told that the budget is used up and decides how to end.</span></p>
    </>
  );
}

function Attention({ wait, send, busy, copy }: Props) {
  const [result, setResult] = useState<Json | undefined>();
  const [message, setMessage] = useState("");
  const done = (): Json => (result === undefined ? { type: "done" } : { type: "done", result });
  const fail = (): Json => ({ type: "fail", message });
  return (
    <>
      <p>The effect was begun, and then its outcome was lost. Nobody but a person can find out whether it happened.</p>
      {wait.details !== undefined && <Tree value={wait.details} label="What was asked for" />}
      <form class="option" onSubmit={(e) => { e.preventDefault(); send(done()); }}>
        <h4>It happened</h4>
        <label class="field">Its result, as JSON; nothing is null <JsonInput value={result} change={setResult} rows={2} /></label>
        <p class="row"><button class="primary" disabled={busy}>It happened</button>{copy(done, command(wait, "--done", ...(result === undefined ? [] : ["--result", print(result)])))}</p>
      </form>
      <div class="option">
        <h4>It did not</h4>
        <p class="row"><button type="button" disabled={busy} onClick={() => send({ type: "again" })}>Do it again</button>{copy(() => ({ type: "again" }), command(wait, "--again"))}<span class="faint">With the same idempotency key. If it did happen, it may happen twice.</span></p>
      </div>
      <form class="option" onSubmit={(e) => { e.preventDefault(); send(fail()); }}>
        <h4>Give it up</h4>
        <label class="field">Why <input type="text" value={message} onInput={(e) => setMessage(e.currentTarget.value)} /></label>
        <p class="row"><button class="danger" disabled={busy || !message}>It failed</button>{copy(fail, command(wait, "--fail", message))}</p>
      </form>
    </>
  );
}

function Job({ wait, send, busy, copy }: Props) {
  const [result, setResult] = useState<Json | undefined>();
  const [error, setError] = useState("");
  const done = (): Json => ({ result: result ?? null });
  return (
    <>
      {wait.details !== undefined && <Tree value={wait.details} label="What is to be done" />}
      <form onSubmit={(e) => { e.preventDefault(); send(done()); }}>
        <label class="field">Its result, as JSON <JsonInput value={result} change={setResult} rows={3} /></label>
        <p class="row"><button class="primary" disabled={busy}>Done</button>{copy(done, command(wait, "--result", print(result ?? null)))}</p>
      </form>
      <form class="row" onSubmit={(e) => { e.preventDefault(); send({ error }); }}>
        <label class="grow">Or why it failed <input type="text" value={error} onInput={(e) => setError(e.currentTarget.value)} /></label>
        <button class="danger" disabled={busy || !error}>It failed</button>
      </form>
    </>
  );
}

function Free({ wait, send, busy, copy }: Props) {
  const [value, setValue] = useState<Json | undefined>();
  const body = (): Json => ({ answer: value ?? null });
  return (
    <form onSubmit={(e) => { e.preventDefault(); send(body()); }}>
      {wait.details !== undefined && <Tree value={wait.details} label="Details" />}
      <label class="field">Answer, as JSON <JsonInput value={value} change={setValue} /></label>
      <p class="row"><button class="primary" disabled={busy}>Answer</button>{copy(body, command(wait, print(value ?? null)))}</p>
    </form>
  );
}

/** Deadline says what happens when nobody answers. */
export function Deadline({ wait }: { wait: RunWait }) {
  if (!given(wait.expires_at)) return null;
  const then = wait.kind === "tool_approval" ? (wait.on_expire === "fail" ? "the call fails" : "the call is not made, and the model is told")
    : wait.default !== undefined ? `the answer is ${print(wait.default)}` : "it counts as a timeout";
  return <span> · open until <Time at={wait.expires_at} />, then {then}</span>;
}

export { asks };
