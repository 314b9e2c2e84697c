// The frame: navigation, the state of the connection, and the page of the address.

import { effect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { connection, lostSince } from "./api/stream";
import { root } from "./api/client";
import { more, open } from "./inbox";
import { me } from "./me";
import { login } from "./ui/basics";
import { go, href, query, segments } from "./router";
import { now, span } from "./time";
import { theme, type Theme } from "./theme";
import { Home } from "./pages/home";
import { Inbox } from "./pages/inbox";
import { Runs } from "./pages/runs";
import { RunPage } from "./pages/run";
import { Workflows, WorkflowPage } from "./pages/workflows";
import { Schedules } from "./pages/schedules";
import { Events } from "./pages/events";
import { Tools } from "./pages/tools";
import { Charts } from "./pages/charts";
import { Bookmarks } from "./pages/bookmarks";
import { Compare } from "./pages/compare";
import { Retention } from "./pages/retention";
import { Workers } from "./pages/workers";
import { Settings } from "./pages/settings";

const places = [
  ["", "Home", "⌂"], ["inbox", "Inbox", "✉"], ["runs", "Runs", "▶"], ["bookmarks", "Bookmarks", "⚑"], ["workflows", "Workflows", "◇"],
  ["schedules", "Schedules", "◷"], ["events", "Events", "↯"], ["tools", "Tools", "⚒"], ["charts", "Charts", "▥"], ["workers", "Workers", "⚙"], ["retention", "Retention", "◫"], ["settings", "Settings", "☰"],
] as const;

const count = () => (open.value ? `${open.value.size}${more.value ? "+" : ""}` : "");

effect(() => {
  const name = places.find(([p]) => p === (segments.value[0] ?? ""))?.[1] ?? (segments.value[0] === "compare" ? "Compare" : "");
  const here = segments.value[1] ? `${segments.value[1].slice(0, 24)} · ` : "";
  document.title = `${open.value?.size ? `(${count()}) ` : ""}${here}${name} · bide`;
});

export function App() {
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      const at = e.target as HTMLElement;
      if (e.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName)) {
        e.preventDefault();
        const box = document.querySelector<HTMLInputElement>("input[type=search]");
        if (box) box.focus();
        else go(href(["runs"]));
      }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  const here = segments.value[0] ?? "";
  useEffect(() => document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" }), [here, open.value?.size]); // on a narrow screen the navigation scrolls
  const themes: Theme[] = ["system", "light", "dark"];
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to the page</a>
      <header class="side">
        <a class="brand" href={href([])}><img src="icon.svg" alt="" width="24" height="24" /> bide</a>
        <nav aria-label="Pages">
          {places.map(([p, name, mark]) => (
            <a key={p} href={href(p ? [p] : [])} aria-current={here === p ? "page" : undefined}>
              <span class="mark" aria-hidden="true">{mark}</span> {name}
              {p === "inbox" && !!open.value?.size && <span class="count" aria-label={`${count()} open`}>{count()}</span>}
            </a>
          ))}
        </nav>
        <div class="foot">
          <Connection />
          <Who />
          <label class="theme"><span class="unseen">Theme</span>
            <select value={theme.value} onChange={(e) => (theme.value = e.currentTarget.value as Theme)}>{themes.map((t) => <option key={t}>{t}</option>)}</select>
          </label>
        </div>
      </header>
      <main id="main" tabIndex={-1}><Page /></main>
    </>
  );
}

/** Who says who one is; a login of the browser can be ended. */
function Who() {
  const who = me.value;
  if (who === undefined) return null;
  if (who === null) return <a class="button primary" href={login()}>Sign in</a>;
  const out = async () => {
    await fetch(new URL("auth/logout", root), { method: "POST" });
    location.assign(login());
  };
  return <span class="who"><span title={who.roles.join(", ")}>{who.actor}</span> {who.session && <button type="button" class="quiet" onClick={out}>Sign out</button>}</span>;
}

function Connection() {
  const state = connection.value;
  const words = state === "live" ? "Live" : state === "connecting" ? "Connecting…" : `Offline for ${span(Math.max(0, now.value - lostSince.value))}; trying again`;
  return <span class={`connection ${state}`} role="status">{words}</span>;
}

function Page() {
  const [place, id, ...rest] = segments.value;
  switch (place) {
    case undefined: return <Home />;
    case "inbox": return <Inbox />;
    case "runs": return id ? <RunPage key={id} id={id} /> : <Runs />;
    case "workflows": return id ? <WorkflowPage key={id} id={id} version={rest[0]} /> : <Workflows />;
    case "bookmarks": return <Bookmarks />;
    case "compare": return <Compare key={`${query.value.get("a")} ${query.value.get("b")}`} />;
    case "retention": return <Retention />;
    case "schedules": return <Schedules />;
    case "events": return <Events />;
    case "tools": return <Tools />;
    case "charts": return <Charts />;
    case "workers": return <Workers />;
    case "settings": return <Settings />;
  }
  return <><h1>There is no such page</h1><p><a href={href([])}>Go to the first one</a>.</p></>;
}
