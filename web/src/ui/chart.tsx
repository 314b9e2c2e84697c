// Small charts, drawn as SVG, with the same figures as a table for those who do not see them.

export interface Slot {
  name: string;
  parts: [kind: string, value: number][];
}

/** Bars is a bar per slot, its parts on top of each other. */
export function Bars({ slots, label, format = String }: { slots: Slot[]; label: string; format?: (v: number) => string }) {
  const height = 64;
  const sum = (s: Slot) => s.parts.reduce((n, [, v]) => n + v, 0);
  const max = Math.max(1, ...slots.map(sum));
  const width = 100 / slots.length;
  return (
    <figure class="chart" role="img" aria-label={`${label}; at most ${format(Math.max(0, ...slots.map(sum)))}`}>
      <svg viewBox={`0 0 100 ${height}`} preserveAspectRatio="none" aria-hidden="true">
        {slots.map((s, i) => {
          let top = height;
          return s.parts.map(([kind, v]) => {
            const h = (v / max) * (height - 2);
            top -= h;
            return v > 0 && <rect key={`${i}${kind}`} class={`part ${kind}`} x={i * width + width * 0.12} width={width * 0.76} y={top} height={h}><title>{`${s.name}: ${format(v)} ${kind}`}</title></rect>;
          });
        })}
      </svg>
      <figcaption aria-hidden="true"><span>{slots[0]?.name}</span><span>{slots.at(-1)?.name}</span></figcaption>
    </figure>
  );
}
