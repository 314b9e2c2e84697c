// What an effect was asked and what came of it, as its type has it.

import { useState } from "preact/hooks";
import { diff, get, isObject, isRaw, type Json } from "../api/json";
import { useLoaded } from "../load";
import { Changes, Tree } from "../ui/json";
import { Markdown } from "../ui/markdown";
import { Artifacts, artifactsIn, plain } from "../ui/preview";
import { stateAt } from "./inspector";

export interface Asked {
  run: string;
  planned: number; // record
  type: string;
  payload: Json | undefined;
  result: Json | undefined; // undefined while there is none
}

/** EffectDetails shows an effect. */
export function EffectDetails(a: Asked) {
  const [raw, setRaw] = useState(false);
  const known = { LLM_CALL: Model, tool_call: Tool, http: Http }[a.type];
  const Known = raw ? undefined : known;
  return (
    <>
      {Known ? <Known {...a} /> : <><Tree value={a.payload} label={`Asked of ${a.type}`} />{a.result !== undefined && <Tree value={a.result} label="Result" />}</>}
      {a.type !== "tool_call" && <Artifacts run={a.run} of={artifactsIn(a.result)} />}
      {known && <p><label class="check"><input type="checkbox" checked={raw} onChange={(e) => setRaw(e.currentTarget.checked)} /> as JSON</label></p>}
    </>
  );
}

const text = (v: Json | undefined) => (typeof v === "string" ? v : v === undefined || v === null ? "" : isRaw(v) ? v.rawJSON : String(v));
const list = (v: Json | undefined): Json[] => (Array.isArray(v) ? v : []);

/** Model is a call of a model: what was said before, what it said, what it took. */
function Model({ run, planned, payload, result }: Asked) {
  const from = get(payload, "from");
  const base = useLoaded(async () => (isObject(from) ? (await stateAt(run, planned)).vars as Json : undefined), [run, planned]);
  const at = (path: Json | undefined) => (typeof path === "string" && path ? get(base.value, ...path.split(".")) : undefined);
  const request = at(get(from, "request"));
  const said = (name: string) => get(payload, name) ?? get(request, name);
  const earlier = list(at(get(from, "messages"))).slice(Number(get(from, "first") ?? 0), Number(get(from, "count") ?? 0));
  const messages = [...list(said("messages")), ...earlier];
  const tools = list(said("tools")).map((t) => text(get(t, "name")));
  const hidden = Math.max(0, messages.length - 12);
  return (
    <div class="model">
      <dl class="facts">
        <dt>Model</dt><dd>{text(get(result, "model") ?? said("model"))}{get(result, "served_model") !== undefined && <span class="faint"> served as {text(get(result, "served_model"))}</span>}{get(result, "provider", "scripted") === true && <span class="faint"> (scripted)</span>}</dd>
        {tools.length > 0 && <><dt>Tools</dt><dd>{tools.join(", ")}</dd></>}
        {["temperature", "max_tokens", "reasoning", "tool_choice"].map((n) => said(n) !== undefined && <><dt>{n.replaceAll("_", " ")}</dt><dd>{text(said(n))}</dd></>)}
      </dl>
      {text(said("system")) && <details><summary>System prompt</summary><p class="wrap">{text(said("system"))}</p></details>}
      <details open={messages.length <= 4}>
        <summary>{messages.length === 1 ? "One message" : `${messages.length} messages`} before</summary>
        {hidden > 0 && <p class="faint">The last 12; {hidden} more are in the vars then.</p>}
        {messages.slice(hidden).map((m, i) => <Message key={i} message={m} vars={base.value} />)}
      </details>
      {result !== undefined && <><h4>Its answer</h4><Message message={result} vars={base.value} /><Usage of={result} /></>}
    </div>
  );
}

function Message({ message, vars }: { message: Json; vars?: Json }) {
  return (
    <div class={`message ${text(get(message, "role"))}`}>
      <p class="faint">{text(get(message, "role"))}</p>
      {list(get(message, "parts")).map((p, i) => <Part key={i} part={p} vars={vars} />)}
    </div>
  );
}

function Part({ part, vars }: { part: Json; vars?: Json }) {
  switch (get(part, "type")) {
    case "text": return <Markdown text={text(get(part, "text"))} />;
    case "reasoning": return <details><summary>Reasoning</summary><p class="wrap faint">{text(get(part, "text"))}</p></details>;
    case "tool_call": return <div>calls <code>{text(get(part, "name"))}</code><Tree value={get(part, "args") ?? get(part, "args_text")} label="Arguments" /></div>;
    case "tool_result": {
      const from = get(part, "from");
      const result = typeof from === "string" ? get(vars, ...from.split(".")) : get(part, "result");
      return <details><summary>Result of {text(get(part, "name"))}{get(part, "is_error") === true && <strong class="bad"> (an error)</strong>}</summary><Tree value={result} label="Result" /></details>;
    }
    case "image": return <p class="faint">An image: <span class="clip">{text(get(part, "image", "url")).slice(0, 80)}</span></p>;
  }
  return <Tree value={part} label="Part" />;
}

/** Usage is what an answer took; what the provider did not say is not known. */
function Usage({ of }: { of: Json }) {
  const usage = get(of, "usage");
  const rows = isObject(usage) ? Object.entries(usage) : [];
  return (
    <dl class="facts">
      <dt>Ended</dt><dd>{text(get(of, "finish")).replaceAll("_", " ")}</dd>
      {rows.map(([n, v]) => <><dt>{n.replaceAll("_", " ")}</dt><dd>{text(v)}</dd></>)}
      {rows.length === 0 && <><dt>Tokens</dt><dd>not known</dd></>}
      <dt>Cost</dt><dd>{get(of, "cost") === undefined ? "not known" : <>{text(get(of, "cost", "usd"))} USD <span class="faint">by prices {text(get(of, "cost", "prices"))}</span></>}</dd>
    </dl>
  );
}

const ways: Record<string, string> = { policy: "a rule of the policy", grant: "a grant that was given before", person: "a person" };

/** Tool is a call of a tool: its arguments, who let it pass and why, what came back, and the evidence. */
function Tool({ run, payload, result }: Asked) {
  const leave = get(result, "leave");
  const args = get(leave, "args") ?? get(payload, "args") ?? get(payload, "args_text");
  const proposed = get(leave, "proposed");
  const content = get(result, "content");
  return (
    <>
      <dl class="facts">
        <dt>Tool</dt><dd><code>{text(get(payload, "name"))}</code> <span class="faint">{{ once: "must not be called twice", read_only: "changes nothing", idempotent: "safe to repeat" }[text(get(payload, "safety"))] ?? ""}</span></dd>
        {result !== undefined && <><dt>Outcome</dt><dd>{text(get(result, "status"))}</dd></>}
        {leave !== undefined && <><dt>Let pass by</dt><dd>{ways[text(get(leave, "by"))] ?? text(get(leave, "by"))}{text(get(leave, "actor")) && <>, <strong>{text(get(leave, "actor"))}</strong></>}</dd></>}
        {leave === undefined && text(get(result, "decided_by")) && <><dt>Decided by</dt><dd>{text(get(result, "decided_by"))}</dd></>}
        {text(get(leave, "reason")) && <><dt>Because</dt><dd>{text(get(leave, "reason"))}</dd></>}
        {text(get(result, "note")) && <><dt>Note</dt><dd>{text(get(result, "note"))}</dd></>}
      </dl>
      <Tree value={args} label="Arguments" />
      {proposed !== undefined && <><h4>What a person changed</h4><Changes of={diff(proposed, args)} none="Nothing." /></>}
      {content !== undefined && (typeof content === "string" ? <><h4>Result</h4><pre class="scroll wrap" tabIndex={0}>{content}</pre></> : <Tree value={content} label="Result" />)}
      <Evidence run={run} result={result} />
    </>
  );
}

function Evidence({ run, result }: { run: string; result: Json | undefined }) {
  const found = artifactsIn(result);
  return found.length > 0 ? <><h4>Evidence</h4><Artifacts run={run} of={found} /></> : null;
}

/** Http is a request and its response. */
function Http({ payload, result }: Asked) {
  const body = get(payload, "json") ?? get(payload, "form") ?? get(payload, "body");
  const headers = (v: Json | undefined) => isObject(v) && Object.keys(v).length > 0 && <pre class="scroll wrap" tabIndex={0}>{Object.entries(v).map(([n, x]) => `${n}: ${plain(x)}`).join("\n")}</pre>;
  const answer = get(result, "json") ?? get(result, "body");
  return (
    <>
      <h4>Request</h4>
      <p><code>{text(get(payload, "method")) || "GET"}</code> <code class="wrap">{text(get(payload, "url"))}</code></p>
      {get(payload, "query") !== undefined && <Tree value={get(payload, "query")} label="Query" />}
      {headers(get(payload, "headers"))}
      {body !== undefined && <Tree value={body} label="Body" />}
      {result !== undefined && (
        <>
          <h4>Response <span class={`status ${Number(get(result, "status")) < 400 ? "completed" : "failed"}`}>{text(get(result, "status"))}</span></h4>
          {isObject(get(result, "headers")) && <details><summary>Headers</summary>{headers(get(result, "headers"))}</details>}
          {answer !== undefined && (typeof answer === "string" ? <pre class="scroll wrap" tabIndex={0}>{answer}</pre> : <Tree value={answer} label="Body" />)}
        </>
      )}
    </>
  );
}
