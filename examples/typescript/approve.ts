// Approve publishes a flow, starts a run of it, follows it to its question, answers, and reads the ledger, all
// through a client whose types are generated from the description of the API:
//
//	bide dev
//	npm ci && npm run generate && npm run build
//	node dist/approve.js http://127.0.0.1:7878

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Problem = components["schemas"]["Problem"];

// What the description does not have: the text of a record, and the data of a stream's event.
type LedgerRecord = { seq: number; kind: string; node?: string };
type StreamEntry = { run_id: string; record: LedgerRecord };

const url = process.argv[2] ?? "http://127.0.0.1:7878";
const token = process.env.BIDE_TOKEN;
const api = createClient<paths>({ baseUrl: url, headers: token ? { authorization: `Bearer ${token}` } : {} });

const source = `
bide: 1
flow: refund
input: {type: object, required: [amount], properties: {amount: {type: number}}}
steps:
  - id: ok
    ask: {prompt: "Refund {{ input.amount }}?", choices: [approve, reject]}
output: {said: "{{ ok.choice }}"}
`;

// must gives what a call answered, or throws its problem.
function must<T>(called: { data?: T; error?: Problem }): T {
  if (called.error || called.data === undefined) throw new Error(JSON.stringify(called.error));
  return called.data;
}

// events yields the events of a run's stream, each with its name and data, until it ends.
async function* events(run: string): AsyncGenerator<{ name: string; data: string }> {
  const called = await api.GET("/v1/runs/{run}/stream", { params: { path: { run } }, parseAs: "stream" });
  const stream = must(called) as unknown as ReadableStream<Uint8Array>;
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of stream) {
    const parts = (rest + decoder.decode(piece, { stream: true })).split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const lines = part.split("\n");
      const of = (field: string) => lines.find((l) => l.startsWith(`${field}: `))?.slice(field.length + 2) ?? "";
      if (of("event")) yield { name: of("event"), data: of("data") };
    }
  }
}

must(await api.POST("/v1/workflows", { body: { source } }));

const order = { workflow: "refund", input: { amount: 120 }, labels: { team: "ops" } };
const key = { header: { "Idempotency-Key": `order-${process.pid}-${Date.now()}` } };
const run = must(await api.POST("/v1/runs", { params: key, body: order }));
const again = must(await api.POST("/v1/runs", { params: key, body: order }));
console.log(again.run_id === run.run_id ? "started once" : `started twice: ${run.run_id}, ${again.run_id}`);

let wait = "";
for await (const event of events(run.run_id)) {
  if (event.name === "end") break;
  if (event.name !== "record") continue;
  const record = (JSON.parse(event.data) as StreamEntry).record;
  if (record.kind !== "wait.opened") continue;
  const open = must(await api.GET("/v1/waits", { params: { query: { run: run.run_id } } })).waits[0];
  if (!open) throw new Error("nothing waits");
  wait = open.wait_id;
  console.log(`${open.kind}: ${open.message} (${open.choices?.join(", ")})`);
  const path = { wait };
  const done = must(await api.POST("/v1/waits/{wait}/answer", { params: { path }, body: { answer: "approve" } }));
  console.log(`${done.wait.status} by ${done.wait.decision?.actor}`);
}

const late = await api.POST("/v1/waits/{wait}/answer", { params: { path: { wait } }, body: { answer: "reject" } });
console.log(`too late: ${late.response.status} ${late.error?.code}`);

const output = must(await api.GET("/v1/runs/{run}/output", { params: { path: { run: run.run_id } } }));
console.log(`${output.status}: ${JSON.stringify(output.output)}`);

const ledger = must(await api.GET("/v1/runs/{run}/ledger", { params: { path: { run: run.run_id }, query: { limit: 100 } } }));
for (const record of ledger.records as LedgerRecord[]) console.log(`${record.seq} ${record.kind} ${record.node ?? ""}`.trimEnd());

const verified = must(await api.GET("/v1/runs/{run}/verification", { params: { path: { run: run.run_id } } }));
const counts = must(await api.GET("/v1/stats/runs", { params: { query: { q: "flow:refund label:team=ops" } } }));
console.log(`${verified.records} records verified; ${counts.statuses.completed} of ${counts.runs} runs completed`);
