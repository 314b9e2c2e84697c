// Which rows of a long list are in sight.

import { useEffect, useLayoutEffect, useState } from "preact/hooks";

const small = matchMedia("(max-width: 760px)"); // as in main.css

/** useNarrow says whether the window is a narrow one. */
export function useNarrow(): boolean {
  const [narrow, set] = useState(small.matches);
  useEffect(() => {
    const look = () => set(small.matches);
    small.addEventListener("change", look);
    return () => small.removeEventListener("change", look);
  }, []);
  return narrow;
}

/** useWindow says which rows of a scrolling box to draw: count of them from first on. It scrolls to row at when that changes. */
export function useWindow(box: { current: HTMLElement | null }, rows: number, line: number, at: number) {
  const [first, setFirst] = useState(0);
  const [tall, setTall] = useState(480);
  const spare = 8;
  const look = (b: HTMLElement) => {
    setTall(b.clientHeight);
    setFirst(Math.max(0, Math.floor(b.scrollTop / line) - spare));
  };
  useLayoutEffect(() => {
    const b = box.current;
    if (!b) return;
    if (at >= 0 && (at * line < b.scrollTop || (at + 1) * line > b.scrollTop + b.clientHeight)) b.scrollTop = at * line - b.clientHeight / 2;
    look(b);
  }, [at, rows]);
  return { first, count: Math.ceil(tall / line) + 2 * spare, onScroll: (e: { currentTarget: HTMLElement }) => look(e.currentTarget) };
}
