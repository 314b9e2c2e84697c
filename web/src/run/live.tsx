// What a model says while it says it. Nothing of it is kept: the answer is in the ledger when it is complete.

import { useEffect, useState } from "preact/hooks";
import { root, segment } from "../api/client";
import type { Run } from "../api/types";
import { Markdown } from "../ui/markdown";

interface Delta {
  step: number;
  effect: number;
  attempt: number;
  event: "started" | "delta" | "ended";
  delta?: { index: number; part: { type: string; text?: string; name?: string; args_text?: string } };
  error?: { message: string };
}

interface Part {
  type: string;
  name: string;
  text: string;
}

interface Voice {
  attempt: number;
  parts: Part[];
  ended: boolean;
}

/** speaking says whether a model is asked at the moment. */
export const speaking = (run: Run) => run.status === "running" && (run.effects ?? []).some((e) => e.type === "LLM_CALL" && !["completed", "failed"].includes(e.status));

/** Live follows the answers under way; it holds a connection of its own meanwhile. */
export function Live({ id }: { id: string }) {
  const [voices, set] = useState<Map<string, Voice>>(new Map());
  useEffect(() => {
    const heard = new Map<string, Voice>();
    let drawing: number | undefined;
    const url = new URL(`v1/runs/${segment(id)}/stream`, root);
    url.searchParams.set("after", "end");
    const source = new EventSource(url);
    source.addEventListener("delta", (m) => {
      const d: Delta = JSON.parse(m.data);
      const key = `${d.step}/${d.effect}`;
      if (d.event === "started") heard.set(key, { attempt: d.attempt, parts: [], ended: false });
      const v = heard.get(key);
      if (v && d.event === "ended") {
        if (d.error) heard.delete(key);
        else v.ended = true;
      }
      if (v && d.delta) {
        const { type, text = "", name = "", args_text = "" } = d.delta.part;
        const part = (v.parts[d.delta.index] ??= { type, name: "", text: "" });
        part.name += name;
        part.text += text + args_text;
      }
      drawing ??= requestAnimationFrame(() => { drawing = undefined; set(new Map(heard)); });
    });
    source.addEventListener("end", () => source.close());
    return () => {
      source.close();
      if (drawing !== undefined) cancelAnimationFrame(drawing);
    };
  }, [id]);
  const now = [...voices].filter(([, v]) => !v.ended);
  return (
    <>
      {now.map(([key, v]) => (
        <article key={key} class="voice" aria-label="A model's answer, as it comes">
          <p class="faint">A model is answering{v.attempt > 1 && `, attempt ${v.attempt}`}; not yet on record.</p>
          {v.parts.map((p, i) => p && <Said key={i} part={p} />)}
        </article>
      ))}
    </>
  );
}

function Said({ part }: { part: Part }) {
  if (part.type === "tool_call") return <p>wants to call <code>{part.name}</code> <code class="wrap">{part.text}</code></p>;
  if (part.type === "reasoning") return <details><summary>Reasoning</summary><p class="wrap faint">{part.text}</p></details>;
  return <Markdown text={part.text} />;
}
