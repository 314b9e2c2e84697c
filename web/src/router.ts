// The address of a page is in the fragment: #/runs/ID?view=ledger&seq=7.

import { computed, signal } from "@preact/signals";

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

const parts = computed(() => {
  const text = hash.value.replace(/^#\/?/, "");
  const cut = text.indexOf("?");
  return { path: cut < 0 ? text : text.slice(0, cut), query: cut < 0 ? "" : text.slice(cut + 1) };
});

/** segments of the path, decoded. */
export const segments = computed(() => parts.value.path.split("/").filter(Boolean).map((s) => {
  try {
    return decodeURIComponent(s);
  } catch {
    return s;
  }
}));

export const query = computed(() => new URLSearchParams(parts.value.query));

export function href(path: string[], q: Record<string, string | number | undefined> = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(q)) if (value !== undefined && value !== "") params.set(name, String(value));
  const tail = params.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${tail ? `?${tail}` : ""}`;
}

export const go = (to: string) => (location.hash = to);

/** put changes the query of this page without a new entry of the history. */
export function put(changes: Record<string, string | number | undefined>) {
  const params: Record<string, string | number | undefined> = { ...Object.fromEntries(query.value), ...changes };
  history.replaceState(null, "", href(segments.value, params));
  hash.value = location.hash;
}
