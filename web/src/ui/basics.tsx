// Small things that every page is made of.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Problem, root } from "../api/client";
import { given, moment, now, relative } from "../time";
import { href } from "../router";

/** Time is an instant, relative, with the whole of it at hand. */
export function Time({ at }: { at?: string }) {
  now.value; // again with every tick
  return given(at) ? <time dateTime={at} title={moment(at)}>{relative(at)}</time> : <span class="faint">–</span>;
}

const marks: Record<string, string> = {
  running: "▶", waiting: "◔", paused: "‖", completed: "✓", failed: "✕", cancelled: "⊘", set_aside: "!", pending: "·", interrupted: "?",
};

/** Status is a status as a mark and a word, never by its colour alone. */
export function Status({ of }: { of: string }) {
  return <span class={`status ${of}`}><span aria-hidden="true">{marks[of] ?? "·"}</span> {of.replaceAll("_", " ")}</span>;
}

export function RunLink({ id, seq, children }: { id: string; seq?: number; children?: ComponentChildren }) {
  return <a class="mono" href={href(["runs", id], { seq })} title={id}>{children ?? short(id)}</a>;
}

/** short is enough of an id to tell runs apart by eye. */
export const short = (id: string) => (/^[0-9a-f-]{36}$/.test(id) ? `${id.slice(0, 8)}…${id.slice(-4)}` : id.length > 40 ? `${id.slice(0, 32)}…` : id);

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}

/** Refusal shows what a server refused, with every fault. */
export function Refusal({ error }: { error: unknown }) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => ref.current?.scrollIntoView({ block: "nearest" }), [error]);
  if (!error) return null;
  const p = error instanceof Problem ? error : undefined;
  return (
    <div class="refusal" role="alert" ref={ref}>
      <p>{error instanceof Error ? sentence(error.message) : "Something went wrong."}</p>
      {p?.status === 401 && <p><a href={login()}>Log in</a></p>}
      {p && p.faults.length > 0 && (
        <ul>{p.faults.map((f, i) => <li key={i}>{f.path && <code>{f.path}</code>} {f.message}</li>)}</ul>
      )}
    </div>
  );
}

/** login is where people log in; it comes back to this page. */
export function login(): string {
  const url = new URL("auth/login", root);
  url.searchParams.set("return", location.pathname + location.hash);
  return url.href;
}

export const sentence = (s: string) => (s ? s[0].toUpperCase() + s.slice(1) + (/[.!?]$/.test(s) ? "" : ".") : s);

/** Copy is a button that puts text on the clipboard. */
export function Copy({ text, label = "Copy", class: cls = "quiet" }: { text: string | (() => string); label?: string; class?: string }) {
  const [said, say] = useState("");
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => say(""), 1500);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "string" ? text : text());
      say("Copied");
    } catch {
      say("Not allowed by the browser");
    }
  };
  return <button type="button" class={cls} onClick={copy}><span aria-live="polite">{said || label}</span></button>;
}

/** Tabs chooses one of several views. */
export function Tabs<T extends string>({ of, value, choose, label }: { of: readonly (readonly [T, string])[]; value: T; choose: (v: T) => void; label: string }) {
  const step = (e: KeyboardEvent) => {
    const by = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
    if (!by) return;
    e.preventDefault();
    const i = (of.findIndex(([v]) => v === value) + by + of.length) % of.length;
    choose(of[i][0]);
    ((e.currentTarget as HTMLElement).children[i] as HTMLElement).focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={step}>
      {of.map(([v, name]) => (
        <button key={v} type="button" role="tab" aria-selected={v === value} tabIndex={v === value ? 0 : -1} onClick={() => choose(v)}>{name}</button>
      ))}
    </div>
  );
}

/** Dialog is a modal box; Escape and a click beside it close it. */
export function Dialog({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => ref.current?.showModal(), []);
  return (
    <dialog ref={ref} aria-label={title} onClose={close} onClick={(e) => e.target === ref.current && close()}>
      <div class="box">
        <header><h2>{title}</h2><button type="button" class="quiet" aria-label="Close" onClick={close}>✕</button></header>
        {children}
      </div>
    </dialog>
  );
}
