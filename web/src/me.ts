// Who looks at the pages, and what they may do. The server checks it again; the pages say beforehand.

import { signal } from "@preact/signals";
import { Problem, read } from "./api/client";
import type { Me } from "./api/types";

export type Right = "view" | "operate" | "decide" | "author" | "admin" | "installation";

/** me is who it is; undefined until that is known, null without a login. */
export const me = signal<Me | null | undefined>(undefined);

/** loadMe finds out; call it once. */
export async function loadMe() {
  try {
    me.value = await read<Me>("v1/me");
  } catch (e) {
    if (e instanceof Problem && e.status === 401) me.value = null;
  }
}

const needs: Record<Right, string> = { view: "looking", operate: "changing runs", decide: "answering", author: "publishing flows and changing schedules", admin: "administration", installation: "looking after the installation" };

/** denied says why something is off, or nothing when it is not. */
export function denied(right: Right | undefined): string | undefined {
  const who = me.value;
  if (!right || !who || who.rights.includes(right)) return undefined;
  return `You are ${who.actor}${who.roles.length ? ` (${who.roles.join(", ")})` : ""}: that is not enough for ${needs[right]}. It needs the right “${right}”.`;
}
