// Small charts, drawn as SVG, with the same figures as a table for those who would rather read, or do not see them.

import type { ComponentChildren } from "preact";

export interface Slot {
  name: string;
  parts: [kind: string, value: number][];
}

const tall = 64;

function Figure({ label, slots, format, children }: { label: string; slots: Slot[]; format: (v: number) => string; children: ComponentChildren }) {
  const kinds = slots[0]?.parts.map(([k]) => k) ?? [];
  return (
    <figure class="chart">
      <svg viewBox={`0 0 100 ${tall}`} preserveAspectRatio="none" role="img" aria-label={label}>{children}</svg>
      <figcaption><span>{slots[0]?.name}</span><span class="legend">{kinds.map((k) => <span key={k}><i class={k} /> {k}</span>)}</span><span>{slots.at(-1)?.name}</span></figcaption>
      <details class="figures"><summary>Figures</summary><div class="scroll" tabIndex={0} role="region" aria-label="Table"><table class="list"><thead><tr><th>From</th>{kinds.map((k) => <th key={k}>{k}</th>)}</tr></thead>
        <tbody>{slots.map((s) => <tr key={s.name}><td>{s.name}</td>{s.parts.map(([k, v]) => <td key={k}>{format(v)}</td>)}</tr>)}</tbody></table></div></details>
    </figure>
  );
}

/** Bars is a bar per slot, its parts on top of each other. */
export function Bars({ slots, label, format = String }: { slots: Slot[]; label: string; format?: (v: number) => string }) {
  const sum = (s: Slot) => s.parts.reduce((n, [, v]) => n + v, 0);
  const max = Math.max(1e-9, ...slots.map(sum));
  const width = 100 / slots.length;
  return (
    <Figure label={`${label}; at most ${format(Math.max(0, ...slots.map(sum)))}`} slots={slots} format={format}>
      {slots.map((s, i) => {
        let top = tall;
        return s.parts.map(([kind, v]) => {
          const h = (v / max) * (tall - 2);
          top -= h;
          return v > 0 && <rect key={`${i}${kind}`} class={`part ${kind}`} x={i * width + width * 0.12} width={width * 0.76} y={top} height={h}><title>{`${s.name}: ${format(v)} ${kind}`}</title></rect>;
        });
      })}
    </Figure>
  );
}

/** Lines is a line per part over the slots. */
export function Lines({ slots, label, format = String }: { slots: Slot[]; label: string; format?: (v: number) => string }) {
  const max = Math.max(1e-9, ...slots.flatMap((s) => s.parts.map(([, v]) => v)));
  const kinds = slots[0]?.parts.map(([k]) => k) ?? [];
  const x = (i: number) => ((i + 0.5) * 100) / slots.length;
  return (
    <Figure label={`${label}; at most ${format(max)}`} slots={slots} format={format}>
      {kinds.map((k, j) => <polyline key={k} class={`line ${k}`} points={slots.map((s, i) => `${x(i).toFixed(2)},${(tall - 2 - (s.parts[j][1] / max) * (tall - 6)).toFixed(2)}`).join(" ")} />)}
    </Figure>
  );
}

/** Shares is a row per name: how its whole is divided. */
export function Shares({ rows, format }: { rows: Slot[]; format: (v: number) => string }) {
  const sum = (s: Slot) => s.parts.reduce((n, [, v]) => n + v, 0);
  const max = Math.max(1e-9, ...rows.map(sum));
  return (
    <ul class="shares">
      {rows.map((r) => (
        <li key={r.name}>
          <p><strong>{r.name}</strong> <span class="faint">{r.parts.filter(([, v]) => v > 0).map(([k, v]) => `${k} ${format(v)}`).join(", ") || "nothing"}</span></p>
          <div class="share" aria-hidden="true" style={{ width: `${Math.max(2, (sum(r) / max) * 100)}%` }}>{r.parts.map(([k, v]) => v > 0 && <i key={k} class={k} style={{ flexGrow: v / sum(r) }} />)}</div>
        </li>
      ))}
    </ul>
  );
}
