// A link that lets somebody without a login answer one wait.

import { useState } from "preact/hooks";
import { call, read, root, segment, type Request } from "../api/client";
import type { KeptLink, Link, LinkList } from "../api/types";
import { Act, CopyAs } from "../actions";
import { useLoaded } from "../load";
import { denied } from "../me";
import { given, moment, now } from "../time";
import { Copy, Dialog, Refusal, Time } from "./basics";

/** SendLink offers to make one. */
export function SendLink({ wait }: { wait: string }) {
  const [open, setOpen] = useState(false);
  return <><button type="button" class="quiet" disabled={!!denied("decide")} title={denied("decide")} onClick={() => setOpen(true)}>Send a link…</button>{open && <Make wait={wait} close={() => setOpen(false)} />}</>;
}

function Make({ wait, close }: { wait: string; close: () => void }) {
  const [who, setWho] = useState("");
  const [lasts, setLasts] = useState("24h");
  const [made, setMade] = useState<Link>();
  const [error, setError] = useState<unknown>();
  const kept = useLoaded((s) => read<LinkList>(`v1/waits/${segment(wait)}/links`, {}, s), [wait, made?.link_id]);
  const request = (): Request => ({ method: "POST", path: `v1/waits/${segment(wait)}/link`, body: { ...(who && { for: who }), expires_in: lasts } });
  const send = async (e: Event) => {
    e.preventDefault();
    try {
      setMade(await call<Link>(request()));
      setError(undefined);
    } catch (x) {
      setError(x);
    }
  };
  const url = made && new URL(made.path.replace(/^\//, ""), root).href;
  return (
    <Dialog title="A link to this wait" close={close}>
      <p>Whoever has the link may look at this wait and answer it, without a login, until it expires, is taken back, or the wait is closed. Send it as you would send a password.</p>
      {made && url ? (
        <>
          <p class="command"><code>{url}</code> <Copy text={url} /></p>
          <p class="faint">The ledger will name <code>{made.actor}</code>. It counts until {moment(made.expires_at)}, and is not shown again.</p>
          <footer><button type="button" class="primary" onClick={close}>Done</button></footer>
        </>
      ) : (
        <form onSubmit={send}>
          <label class="field">For whom <input type="text" value={who} onInput={(e) => setWho(e.currentTarget.value)} placeholder="bob@example.com" /><p class="hint">The ledger names them when the link answers.</p></label>
          <label class="field">For how long <select value={lasts} onChange={(e) => setLasts(e.currentTarget.value)}>{[["1h", "an hour"], ["24h", "a day"], ["168h", "a week"], ["720h", "30 days"]].map(([v, n]) => <option key={v} value={v}>{n}</option>)}</select></label>
          <Refusal error={error} />
          <footer><CopyAs command={["link", wait, ...(who ? ["--for", who] : []), "--expires", lasts, "--url", root.href]} request={request} /><button class="primary">Make it</button></footer>
        </form>
      )}
      <Refusal error={kept.error} />
      {!!kept.value?.links.length && (
        <>
          <h3>Links so far</h3>
          <ul class="lines" aria-label="Links">{kept.value.links.map((l) => <Kept key={l.link_id} of={l} changed={kept.again} />)}</ul>
        </>
      )}
    </Dialog>
  );
}

/** Kept is a link that was made; it can be taken back. */
function Kept({ of: l, changed }: { of: KeptLink; changed: () => void }) {
  const over = given(l.revoked_at) ? <>taken back by {l.revoked_by}, <Time at={l.revoked_at} /></> : Date.parse(l.expires_at) <= now.value ? "expired" : undefined;
  return (
    <li>
      <span><code>{l.actor}</code><br /><span class="faint">by {l.by}, <Time at={l.created_at} />{!over && <>, until <Time at={l.expires_at} /></>}</span></span>
      {over ? <span class="faint">{over}</span> : <Act of={{ label: "Take back", right: "decide", danger: true, command: ["link", "revoke", l.link_id], request: { method: "DELETE", path: `v1/links/${segment(l.link_id)}` } }} done={changed} />}
    </li>
  );
}
