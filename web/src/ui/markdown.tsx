// Markdown as elements, never as markup: what is not known stays text, HTML included.

import type { ComponentChildren } from "preact";

const inline = /(`+)(.+?)\1|\*\*(.+?)\*\*|__(.+?)__|\*(\S(?:.*?\S)?)\*|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/s;

/** spans are the parts of a paragraph. */
function spans(text: string, depth = 0): ComponentChildren[] {
  const out: ComponentChildren[] = [];
  for (let m; depth < 6 && (m = inline.exec(text)); text = text.slice(m.index + m[0].length)) {
    if (m.index) out.push(text.slice(0, m.index));
    const [, , code, strong, strong2, em, label, url] = m;
    if (code !== undefined) out.push(<code>{code}</code>);
    else if (strong ?? strong2) out.push(<strong>{spans(strong ?? strong2, depth + 1)}</strong>);
    else if (em) out.push(<em>{spans(em, depth + 1)}</em>);
    else out.push(<a href={url} rel="noreferrer noopener nofollow" target="_blank" title={url}>{label}</a>);
  }
  out.push(text);
  return out;
}

const fence = /^\s*(```|~~~)/;
const heading = /^(#{1,6})\s+(.*)$/;
const bullet = /^\s*(?:[-*+]|\d+[.)])\s+(.*)$/;
const quote = /^\s*>\s?(.*)$/;

/** Markdown shows headings, lists, quotes, code, emphasis and links to web pages. */
export function Markdown({ text }: { text: string }) {
  const lines = text.split("\n");
  const out: ComponentChildren[] = [];
  const take = (fits: (l: string) => boolean, from: number) => {
    let to = from;
    while (to < lines.length && fits(lines[to])) to++;
    return to;
  };
  for (let i = 0; i < lines.length;) {
    const l = lines[i];
    const h = heading.exec(l);
    if (!l.trim()) i++;
    else if (fence.test(l)) {
      const to = take((x) => !fence.test(x), i + 1);
      out.push(<pre class="scroll" tabIndex={0}>{lines.slice(i + 1, to).join("\n")}</pre>);
      i = to + 1;
    } else if (h) {
      out.push(<p class={`md-h md-h${h[1].length}`} role="heading" aria-level={Math.min(6, h[1].length + 2)}>{spans(h[2])}</p>);
      i++;
    } else if (bullet.test(l)) {
      const to = take((x) => bullet.test(x), i);
      const items = lines.slice(i, to).map((x) => <li>{spans(bullet.exec(x)![1])}</li>);
      out.push(/^\s*\d/.test(l) ? <ol>{items}</ol> : <ul>{items}</ul>);
      i = to;
    } else if (quote.test(l)) {
      const to = take((x) => quote.test(x), i);
      out.push(<blockquote>{spans(lines.slice(i, to).map((x) => quote.exec(x)![1]).join("\n"))}</blockquote>);
      i = to;
    } else {
      const to = take((x) => !!x.trim() && ![fence, heading, bullet, quote].some((r) => r.test(x)), i);
      out.push(<p>{spans(lines.slice(i, to).join("\n"))}</p>);
      i = to;
    }
  }
  return <div class="markdown">{out}</div>;
}
