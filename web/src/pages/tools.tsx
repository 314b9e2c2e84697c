// What steps and agents may call, who decides about it, and what it costs.

import { read, segment } from "../api/client";
import type { BudgetPage, GrantPage, ModelList, Tool, ToolList } from "../api/types";
import { Act } from "../actions";
import { useLoaded } from "../load";
import { Spending } from "../stats";
import { Empty, Refusal, RunLink, Time } from "../ui/basics";
import { Tree } from "../ui/json";

const decides: Record<Tool["decide"], string> = { auto: "may be called", ask: "a person is asked", deny: "is refused", depends: "depends on the call" };
const repeats: Record<Tool["safety"], string> = { once: "must not be called twice", idempotent: "is safe to repeat", read_only: "changes nothing" };

export function Tools() {
  const tools = useLoaded((s) => read<ToolList>("v1/tools", {}, s), []);
  const models = useLoaded((s) => read<ModelList>("v1/models", {}, s), []);
  const grants = useLoaded((s) => read<GrantPage>("v1/grants", { limit: 500 }, s), [], (_, r) => r.kind === "wait.resolved" || r.kind === "grant.revoked");
  const budgets = useLoaded((s) => read<BudgetPage>("v1/budgets", { limit: 200 }, s), [], (_, r) => r.kind.startsWith("run."), 3000);
  return (
    <>
      <h1>Tools and models</h1>
      <section class="card">
        <h2>Tools</h2>
        <Refusal error={tools.error} />
        {tools.value?.servers.filter((s) => !s.up).map((s) => <p key={s.name} class="bad">The server {s.name} cannot be reached: {s.error}</p>)}
        {tools.value?.tools.length === 0 && <Empty>There are no tools. The configuration names them: <code>bide help configuration</code></Empty>}
        {tools.value?.tools.map((t) => <One key={t.name} of={t} />)}
      </section>
      <section class="card">
        <h2>Grants</h2>
        <p class="faint">Calls that pass without asking, in a session or a workflow. Those of one run are on its page.</p>
        <Refusal error={grants.error} />
        {grants.value?.grants.length === 0 && <p class="faint">None.</p>}
        <ul class="lines">{grants.value?.grants.map((g) => (
          <li key={g.grant_id}><span><code>{g.tool}</code>{g.match === "tool+args" && " with the same arguments"}, in the {g.scope} {g.of}<br /><span class="faint">by {g.by}, <Time at={g.at} /></span></span>
            <Act of={{ label: "Revoke", right: "decide", danger: true, request: { method: "DELETE", path: `v1/grants/${segment(g.grant_id)}`, query: { scope: g.scope, of: g.of } }, consequence: "Calls that it lets pass will ask again." }} done={grants.again} /></li>
        ))}</ul>
      </section>
      <Spending over="168h" />
      {!!budgets.value?.budgets.length && (
        <section class="card">
          <h2>Budgets that agents share</h2>
          <ul class="lines">{budgets.value.budgets.map((b) => <li key={b.id}><span><RunLink id={b.id} /> <span class="faint">{b.runs} runs draw on it</span></span><span>{Object.entries(b.limits).filter(([n, v]) => v && n in b.used).map(([n, v]) => `${n.replaceAll("_", " ")} ${(b.used as Record<string, unknown>)[n]} of ${v}`).join(", ")}</span></li>)}</ul>
        </section>
      )}
      <section class="card">
        <h2>Models</h2>
        <Refusal error={models.error} />
        {models.value && (
          <>
            <p>{models.value.default ? <>Steps that name none ask <code>{models.value.default}</code>.</> : "There is no default model."}</p>
            <div class="scroll" tabIndex={0} role="region" aria-label="Table"><table class="list"><thead><tr><th>Provider</th><th>Protocol</th><th>Address</th><th>Key</th></tr></thead>
              <tbody>{models.value.providers.map((p) => <tr key={p.name}><td>{p.name}</td><td>{p.kind}</td><td>{p.base_url}</td><td><code>{p.key}</code></td></tr>)}</tbody></table></div>
            <details><summary>Prices of a million tokens, in USD</summary><div class="scroll" tabIndex={0} role="region" aria-label="Table"><table class="list"><thead><tr><th>Model</th><th>In</th><th>Out</th><th>Cache read</th><th>write</th><th>Table</th></tr></thead>
              <tbody>{models.value.prices.map((p) => <tr key={p.model}><td>{p.model}</td><td>{p.input}</td><td>{p.output}</td><td>{p.cache_read}</td><td>{p.cache_write}</td><td>{p.version}</td></tr>)}</tbody></table></div></details>
          </>
        )}
      </section>
    </>
  );
}

function One({ of: t }: { of: Tool }) {
  return (
    <details class="tool">
      <summary><code>{t.name}</code> <span class={`status ${{ auto: "completed", ask: "waiting", deny: "failed", depends: "waiting" }[t.decide]}`}>{decides[t.decide]}</span> <span class="faint">{repeats[t.safety]}{t.source.server && `, of ${t.source.server}`}</span></summary>
      {t.description && <p class="wrap">{t.description}</p>}
      <p class="faint">A call may take {t.timeout}; {t.max_result} bytes of a result go back to the model{t.at_once ? `; ${t.at_once} calls at a time` : ""}.</p>
      <h3>Policy</h3>
      <ol>{t.rules.map((r, i) => <li key={i}>{r.when ? <>when <code>{r.when}</code>: </> : "otherwise: "}<strong>{r.decide}</strong>{r.reason && `, ${r.reason}`}</li>)}</ol>
      <Tree value={t.args_schema} label="Arguments" />
    </details>
  );
}
