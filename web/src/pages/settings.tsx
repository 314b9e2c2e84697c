// How the server is, how the pages look, and what the keys do.

import { read, root } from "../api/client";
import type { Health } from "../api/types";
import { useLoaded } from "../load";
import { theme, type Theme } from "../theme";
import { Refusal } from "../ui/basics";

export function Settings() {
  const ready = useLoaded((s) => read<Health>("readyz", {}, s), [], () => false);
  const about = useLoaded(async (s) => (await read<{ info: { version: string } }>("openapi.json", {}, s)).info.version, []);
  return (
    <>
      <h1>Settings</h1>
      <div class="cards">
        <section class="card">
          <h2>Server</h2>
          <Refusal error={ready.error} />
          <dl class="facts">
            <dt>Address</dt><dd>{root.href}</dd>
            <dt>Version</dt><dd>{about.value}</dd>
            <dt>Readiness</dt><dd>{ready.value && `${ready.value.status}${ready.value.detail ? `: ${ready.value.detail}` : ""}`}</dd>
          </dl>
          <p class="row"><button type="button" onClick={ready.again}>Check again</button><a href={new URL("openapi.json", root).href}>Description of the API</a><a href={new URL("metrics", root).href}>Metrics</a></p>
        </section>
        <section class="card">
          <h2>Appearance</h2>
          <label class="field">Theme <select value={theme.value} onChange={(e) => (theme.value = e.currentTarget.value as Theme)}><option value="system">as the system has it</option><option value="light">light</option><option value="dark">dark</option></select></label>
        </section>
        <section class="card">
          <h2>Keys</h2>
          <dl class="facts"><dt><kbd>/</kbd></dt><dd>to the search</dd><dt><kbd>n</kbd></dt><dd>next in the inbox</dd><dt><kbd>a</kbd></dt><dd>approve</dd><dt><kbd>e</kbd></dt><dd>edit the arguments</dd><dt><kbd>r</kbd></dt><dd>reject</dd><dt><kbd>x</kbd></dt><dd>respond</dd></dl>
        </section>
      </div>
    </>
  );
}
