// Made by go generate out of gateway/openapi.json. Do not edit.

import type { Json } from "./json";

export type Accepted = {
  /** the waits of the run that are still open */
  remaining: Wait[];
  wait: Wait;
};

export type AgentLimits = {
  allow_unpriced?: boolean;
  cost?: string;
  input_tokens?: number;
  iterations?: number;
  on_reached?: string;
  output_tokens?: number;
  repeats?: number;
  time?: string;
  tool_calls?: number;
  total_tokens?: number;
  warn_at?: number;
};

export type AgentStanding = {
  id: string;
  limits: AgentLimits;
  reserved: AgentUsed;
  runs: number;
  used: AgentUsed;
};

export type AgentUsed = {
  cost?: string;
  input_tokens?: number;
  iterations?: number;
  output_tokens?: number;
  tool_calls?: number;
  uncounted?: number;
  unpriced?: number;
};

export type Answered = {
  decision: Decision;
  wait: RunWait;
};

export type Artifact = {
  sha256: string;
  size: number;
};

export type Bookmark = {
  actor?: string;
  at: string;
  /** hash of the record: what was marked can be told from what is there */
  head: string;
  name: string;
  note?: string;
  run_id: string;
  seq: number;
  tags?: string[] | null;
};

export type BookmarkList = {
  bookmarks: Bookmark[];
};

export type BudgetPage = {
  /** each with the id of the agent's run */
  budgets: AgentStanding[];
  /** cursor of the next page; absent at the end */
  next?: string;
};

export type Case = {
  /** the file, YAML */
  case: string;
  /** in what the case does not come to what the run did */
  faults: string[];
};

export type Cause = {
  actor?: string;
  at?: string;
  command?: string;
  reason?: string;
};

export type Change = {
  /** why, for the ledger */
  reason?: string;
};

export type Checkpoint = {
  at: string;
  /** the signed note; kept elsewhere, it shows later whether the store was put back */
  note: string;
  /** the name of the log */
  origin: string;
  /** leaves of the log */
  size: number;
};

export type CommandStatus = {
  command_id: string;
  run_id: string;
  /** the record at which it was done: its result is the state there */
  seq: number;
};

export type Compacted = {
  after: number;
  before: number;
};

export type Decision = {
  actor?: string;
  answer?: Json;
  at: string;
  by: string;
  seq: number;
  wait_id: string;
};

export type Divergence = {
  node: string;
  now: Json;
  recorded: Json;
  seq: number;
  step: number;
};

export type Effect = {
  append?: boolean;
  attempt_timeout?: string;
  delivery?: string;
  error_result?: boolean;
  failed?: string;
  payload?: Json;
  result?: string;
  retry?: RetryPolicy;
  timeout?: string;
  type: string;
};

export type EffectState = {
  answered?: Answered[] | null;
  append?: boolean;
  attempt: number;
  attempt_timeout?: string;
  delivery?: string;
  error?: Failure;
  error_result?: boolean;
  failed?: string;
  fan_out?: FanOutState;
  idempotency_key: string;
  lost?: number;
  payload?: Json;
  result?: string;
  retry?: RetryPolicy;
  spent?: number;
  started_at?: string;
  status: string;
  timeout?: string;
  type: string;
  wait_id?: string;
};

export type Event = {
  /** an id is delivered once to a scope; defaults to the Idempotency-Key, or else to a fresh one */
  event_id?: string;
  /** how long an event for a workflow or for all stays for later waits that ask for it */
  keep?: string;
  name: string;
  /** any JSON value */
  payload?: Json;
  /** defaults to run */
  scope?: "run" | "session" | "workflow" | "global";
  /** the run, session or workflow; absent for global */
  scope_id?: string;
};

export type Exit = {
  complete?: boolean;
  continue_as_new?: boolean;
  fail?: Failure;
  node?: string;
  output?: Json;
  output_from?: string;
};

export type Failure = {
  attempts?: number;
  code: string;
  effect?: string;
  message: string;
  node?: string;
  permanent?: boolean;
  run_id?: string;
  stack?: string;
  step?: number;
};

export type FanOutState = {
  completed: number;
  ended: number;
  started: number;
  total: number;
};

export type Fault = {
  message: string;
  path?: string;
};

export type Flow = {
  /** flows that it calls */
  calls?: string[] | null;
  /** it is a flow document; otherwise it is the code of a program */
  document: boolean;
  /** JSON Schema of the input */
  input_schema?: Json;
  /** the version that the document gives itself */
  label?: string;
  /** it is the one that is started when no version is named */
  newest: boolean;
  published_at?: string;
  /** who uploaded this version first; only when one version is asked for */
  published_by?: string;
  /** the document as it was written; only when one version is asked for */
  source?: string;
  title?: string;
  /** the hash of the document */
  version: string;
  /** what the document does that is probably not meant */
  warnings?: string[] | null;
  workflow: string;
};

export type FlowList = {
  workflows: Flow[];
};

export type Fork = {
  /** defaults to the origin's */
  labels?: { [name: string]: string };
  /** why, for the ledger */
  reason?: string;
  /** defaults to one made from the Idempotency-Key, or else to a fresh one */
  run_id?: string;
  /** number of the record to go on from */
  seq: number;
  /** changes to the vars that the new run begins with */
  writes?: Write[] | null;
};

export type ForkEffect = {
  certain?: boolean;
  delivery?: string;
  effect: number;
  node: string;
  payload?: Json;
  seq: number;
  step: number;
  type: string;
  unsafe?: boolean;
};

export type ForkPreview = {
  effects: ForkEffect[];
};

export type Grant = {
  args_sha256?: string;
  at: string;
  by?: string;
  grant_id: string;
  match: string;
  scope: string;
  tool: string;
  tool_sha256?: string;
};

export type GrantPage = {
  grants: SharedGrant[];
  /** cursor of the next page; absent at the end */
  next?: string;
};

export type Graph = {
  entry: string;
  /** a drawing of a flow document, for mermaid.js */
  mermaid?: string;
  nodes: Node[];
};

export type Health = {
  detail?: string;
  status: "ok" | "closing" | "failing";
};

export type Hold = {
  actor: string;
  at: string;
  reason: string;
  /** the first run of the tree */
  run_id: string;
};

export type HoldList = {
  holds: Hold[];
};

export type Hook = {
  created_at: string;
  created_by?: string;
  hook_id: string;
  keep?: string;
  name: string;
  namespace?: string;
  scope: string;
  scope_id?: string;
  secret?: string;
  style: string;
};

export type HookList = {
  hooks: Hook[];
};

export type HookSpec = {
  keep?: string;
  name: string;
  scope: string;
  scope_id?: string;
  secret?: string;
  style: string;
};

export type Imported = {
  artifacts: number;
  documents: number;
  /** runs that had not ended and were set aside */
  history: number;
  /** that were there already, at that record or further */
  known: number;
  /** blobs and documents that were not taken */
  left: number;
  /** runs that go on */
  live: number;
  /** written */
  records: number;
  /** that are new, or were finished */
  runs: number;
};

export type KeptLink = {
  /** who answers with it, as it will stand in the ledger */
  actor: string;
  /** who made it */
  by: string;
  created_at: string;
  expires_at: string;
  link_id: string;
  revoked_at?: string;
  revoked_by?: string;
  wait_id: string;
};

export type Latencies = {
  /** by the time of the end, those without runs included */
  buckets: LatencyBucket[];
  /** the length of a bucket */
  every: string;
  /** the beginning of the first bucket */
  from: string;
  /** there are more runs than were looked at: those that ended last */
  partial: boolean;
  /** the end of the last one that is counted */
  to: string;
  /** of all buckets */
  whole: Latency;
};

export type Latency = {
  max_seconds: number;
  p50_seconds: number;
  p90_seconds: number;
  p99_seconds: number;
  runs: number;
};

export type LatencyBucket = {
  /** its beginning */
  at: string;
  max_seconds: number;
  p50_seconds: number;
  p90_seconds: number;
  p99_seconds: number;
  runs: number;
};

export type Ledger = {
  /** the number to go on from; absent at the end */
  next?: number;
  /** each as it is stored, byte for byte: the hash of a record is the SHA-256 of its text */
  records: Json[];
};

export type Link = {
  /** who answers with it, as it will stand in the ledger */
  actor: string;
  expires_at: string;
  /** to revoke it by; no secret */
  link_id: string;
  /** below the address of the server; whoever has it may answer, so it is a secret */
  path: string;
};

export type LinkList = {
  links: KeptLink[];
};

export type LlmSpending = {
  by_model?: { [name: string]: LlmSpending };
  cache_read_tokens: number;
  cache_write_tokens: number;
  calls: number;
  failed: number;
  input_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  uncounted: number;
  unpriced: number;
  usd: string;
};

export type MadeToken = {
  actor?: string;
  created_at: string;
  created_by?: string;
  expires_at?: string;
  groups?: string[] | null;
  labels?: { [name: string]: string };
  last_used_at?: string;
  name: string;
  namespace?: string;
  revoked_at?: string;
  revoked_by?: string;
  roles: string[] | null;
  /** the token itself, shown this once */
  token: string;
  token_id: string;
  workflows?: string[] | null;
};

export type MadeWebhook = {
  created_at: string;
  created_by?: string;
  disabled?: string;
  labels?: { [name: string]: string };
  namespace?: string;
  /** verifies what is sent; shown this once */
  secret: string;
  subscription_id: string;
  types?: string[] | null;
  url: string;
  workflows?: string[] | null;
};

export type Me = {
  /** as it stands in the ledger */
  actor: string;
  groups?: string[] | null;
  namespace?: string;
  /** such as view, operate, decide, author, admin */
  rights: string[];
  roles: string[];
  /** it is a session of a browser, which POST /auth/logout ends */
  session?: boolean;
};

export type Migrate = {
  /** why, for the ledger */
  reason?: string;
  /** the version to move to */
  version: string;
};

export type ModelList = {
  /** the model of steps that name none */
  default?: string;
  prices: ModelPrice[];
  providers: ModelProvider[];
};

export type ModelPrice = {
  cache_read: string;
  cache_write: string;
  input: string;
  /** provider/model, or provider/* for those without a price of their own */
  model: string;
  output: string;
  /** of the table that it is from */
  version: string;
};

export type ModelProvider = {
  base_url?: string;
  /** the reference to its key, such as env:OPENAI_API_KEY; never the key */
  key?: string;
  /** its protocol */
  kind: string;
  /** models are named provider/model */
  name: string;
};

export type ModelUsage = {
  cache_read_tokens: number;
  cache_write_tokens: number;
  calls: number;
  /** attempts without an answer */
  failed: number;
  input_tokens: number;
  /** empty for attempts that failed, and for answers that a person gave in place of a model */
  model: string;
  output_tokens: number;
  reasoning_tokens: number;
  /** calls whose tokens are not known */
  uncounted: number;
  /** calls whose cost is not known */
  unpriced: number;
  /** dollars, as text */
  usd: string;
  workflow: string;
};

export type NewBookmark = {
  name: string;
  note?: string;
  run_id: string;
  /** number of the record; the last one without */
  seq?: number;
  tags?: string[] | null;
};

export type NewLink = {
  /** how long it lasts, such as 30m or 48h; defaults to 24h, at most 30 days */
  expires_in?: string;
  /** who is to get it: the ledger names who answers link: and this; defaults to whoever makes it */
  for?: string;
};

export type NewSecret = {
  /** verifies what is sent from now on; shown this once */
  secret: string;
};

export type Node = {
  /** where it may go; (end) is completion */
  exits?: string[] | null;
  id: string;
};

export type NodeSum = {
  /** visits that failed */
  failures: number;
  /** that are at it and have not ended */
  here: number;
  /** mean time from a visit to the next one or to the end */
  mean_seconds: number;
  node: string;
  /** failed attempts of effects that were tried again */
  retries: number;
  /** that have visited it */
  runs: number;
  visits: number;
};

export type NodeSums = {
  /** by id; those that no run has visited are left out */
  nodes: NodeSum[];
  /** there are more than were looked at: those that changed last */
  partial: boolean;
  /** how many were added up */
  runs: number;
  version: string;
  workflow: string;
};

export type Origin = {
  head: string;
  run_id: string;
  seq: number;
};

export type Outcome = {
  /** its beginning */
  at: string;
  cancelled: number;
  /** runs that ended in it */
  completed: number;
  failed: number;
  /** runs that began in it, whatever became of them */
  started: number;
};

export type Outcomes = {
  /** one after the other, those without runs included */
  buckets: Outcome[];
  /** the length of a bucket */
  every: string;
  /** the beginning of the first bucket */
  from: string;
  /** there are more runs than were counted */
  partial: boolean;
  /** the end of the last one that is counted */
  to: string;
};

export type Output = {
  /** of a run that failed */
  error?: Failure;
  /** of a run that completed */
  output?: Json;
  status: string;
};

export type Problem = {
  /** the last part of the type */
  code: string;
  /** with already_decided: who answered, when and what */
  decision?: Decision;
  detail?: string;
  /** everything that is wrong, with its place */
  faults?: Fault[] | null;
  run_id?: string;
  status: number;
  title: string;
  type: string;
  wait_id?: string;
};

export type Proof = {
  /** what bide verify checks with the public key alone */
  proof: Json;
};

export type Record = {
  actor?: string;
  at: string;
  command?: string;
  data?: Json;
  kind: string;
  node?: string;
  prev: string;
  reason?: string;
  sealed?: string;
  seq: number;
  step?: number;
};

export type RemoteCall = {
  attempt: number;
  call_id: string;
  /** when nobody waits for it any more; absent when there is none */
  deadline?: string;
  /** the same whenever this effect is made again */
  idempotency_key: string;
  /** how long the worker has without a heartbeat */
  lease: string;
  node: string;
  payload?: Json;
  run_id: string;
  session?: string;
  step: number;
  /** goes along with everything that is said of the call */
  token: number;
  type: string;
  workflow: string;
};

export type RemoteCompletion = {
  /** any JSON value; defaults to null */
  result?: Json;
  token: number;
};

export type RemoteFailure = {
  /** the worker's own; defaults to handler_error */
  code?: string;
  message: string;
  /** trying again cannot help; else the effect's retry policy counts */
  permanent?: boolean;
  /** when the next attempt is made at the earliest */
  retry_after?: string;
  token: number;
};

export type RemoteHeartbeat = {
  token: number;
};

export type RemoteLease = {
  lease: string;
};

export type RemotePollRequest = {
  /** effect types that it can carry out */
  types: string[];
  /** how long to wait for work; defaults to 20s, which also is the most */
  wait?: string;
  /** names the worker in logs and waits */
  worker: string;
};

export type RemovedTree = {
  /** SHA-256 of its export */
  archive?: string;
  /** when the first run ended */
  ended_at: string;
  /** its first run */
  run_id: string;
  runs: number;
  /** of the first run */
  status: string;
  /** of the first run */
  workflow: string;
};

export type Replay = {
  /** the first step that it decides otherwise */
  divergence?: Divergence;
  run_id: string;
  same: boolean;
};

export type Retention = {
  /** keep the export of each tree as an artifact before; the tombstone names it */
  archive?: boolean;
  /** say what would go, and change nothing */
  dry_run?: boolean;
  /** trees at most; 100 without */
  limit?: number;
  rules: RetentionRule[];
};

export type RetentionResult = {
  /** trees in which a run has not ended */
  active: number;
  /** trees that a hold kept */
  held: number;
  /** the limit was reached */
  more: boolean;
  removed: RemovedTree[];
};

export type RetentionRule = {
  /** how long ago the last run must have ended */
  after: string;
  /** of the first run; any without */
  status?: "completed" | "failed" | "cancelled";
  /** of the first run; any without */
  workflow?: string;
};

export type RetryPolicy = {
  attempts: number;
  backoff?: string;
  factor?: number;
  jitter?: number;
  max?: string;
};

export type Run = {
  actor?: string;
  caught?: Failure;
  continued_as?: string;
  continues?: string;
  created_at: string;
  deadline?: string;
  definition: string;
  depth?: number;
  detached?: boolean;
  effects?: EffectState[] | null;
  ended_at?: string;
  error?: Failure;
  exit?: Exit;
  grants?: Grant[] | null;
  head: string;
  key?: string;
  labels?: { [name: string]: string };
  max_steps: number;
  node?: string;
  origin?: string;
  output?: Json;
  parent?: string;
  paused?: Cause;
  plan?: StepPlan;
  root: string;
  run_id: string;
  seq: number;
  session?: string;
  set_aside?: string;
  shredded?: Cause;
  status: string;
  step: number;
  updated_at: string;
  vars: { [name: string]: Json };
  version: string;
  wait_count?: number;
  waits?: RunWait[] | null;
  wake_at?: string;
  workflow: string;
};

export type RunCounts = {
  /** there are more runs than were counted */
  partial: boolean;
  runs: number;
  statuses: StatusCounts;
  /** by name */
  workflows: WorkflowCount[];
};

export type RunInfo = {
  actor?: string;
  created_at: string;
  definition: string;
  ended_at?: string;
  head: string;
  key?: string;
  labels?: { [name: string]: string };
  node?: string;
  origin?: string;
  parent?: string;
  root: string;
  run_id: string;
  seq: number;
  session?: string;
  set_aside?: string;
  status: string;
  step: number;
  updated_at: string;
  version: string;
  wake_at?: string;
  workflow: string;
};

export type RunPage = {
  /** cursor of the next page; absent at the end */
  next?: string;
  runs: RunInfo[];
};

export type RunUsage = {
  run_id: string;
  status: string;
  usage: LlmSpending;
  workflow: string;
};

export type RunWait = {
  again?: boolean;
  allow_free_text?: boolean;
  assignees?: string[] | null;
  choices?: string[] | null;
  created_at: string;
  default?: Json;
  details?: Json;
  effect: number;
  expires_at?: string;
  item?: number;
  items?: ToolItem[] | null;
  key?: string;
  kind: string;
  message?: string;
  node: string;
  on_expire?: string;
  priority?: number;
  repeatable?: boolean;
  response_schema?: Json;
  sealed?: string;
  since?: string;
  state?: Json;
  step: number;
  until?: string;
  wait_id: string;
};

export type Schedule = {
  backlog?: string[] | null;
  counts: ScheduleCounts;
  created_at: string;
  due?: string;
  error?: Failure;
  last?: ScheduleFiring;
  next?: string;
  paused?: Cause;
  refused?: string;
  run_id: string;
  spec: ScheduleSpec;
  status: string;
};

export type ScheduleCounts = {
  cancelled: number;
  completed: number;
  failed: number;
  missed: number;
  skipped: number;
  started: number;
};

export type ScheduleFiring = {
  by?: string;
  error?: Failure;
  run_id?: string;
  started_at: string;
  status: string;
  time: string;
  triggered?: boolean;
};

export type ScheduleList = {
  /** cursor of the next page; absent at the end */
  next?: string;
  schedules: Schedule[];
};

export type ScheduleSpec = {
  anchor?: string;
  catch_up?: number;
  cron?: string;
  end?: string;
  grace?: string;
  input?: Json;
  interval?: string;
  jitter?: string;
  labels?: { [name: string]: string };
  name: string;
  overlap?: string;
  queue?: number;
  run_timeout?: string;
  session?: string;
  start?: string;
  time_zone?: string;
  version?: string;
  workflow: string;
};

export type ScheduleTimes = {
  time_zone: string;
  /** with the offset of the time zone, without jitter; none when the schedule has ended */
  times: string[];
};

export type Session = {
  actor: string;
  created_at: string;
  /** it is the one that this request comes with */
  current: boolean;
  expires_at: string;
  groups?: string[] | null;
  labels?: { [name: string]: string };
  namespace?: string;
  roles: string[];
  session_id: string;
  /** the token that it was begun with, and ends with */
  token_id?: string;
  workflows?: string[] | null;
};

export type SessionList = {
  sessions: Session[];
};

export type SharedGrant = {
  args_sha256?: string;
  at: string;
  by?: string;
  grant_id: string;
  match: string;
  /** the session or workflow */
  of: string;
  scope: string;
  tool: string;
  tool_sha256?: string;
};

export type Signed = {
  /** when the checkpoint was signed */
  at: string;
  /** of that record */
  head: string;
  /** name and number of those keys of this server that signed it, which was checked */
  keys: string[];
  /** the name of the log */
  origin: string;
  /** the last record that it speaks for, and so for all before it */
  seq: number;
  /** name and number of the others that signed it: bide verify checks them with their public halves */
  unknown: string[];
};

export type StartRun = {
  /** any JSON value; its numbers keep their text */
  input?: Json;
  /** names the run among those of its workflow: the same key gives the same run */
  key?: string;
  labels?: { [name: string]: string };
  max_steps?: number;
  /** why, for the ledger */
  reason?: string;
  /** defaults to one made from the key or the Idempotency-Key, or else to a fresh one */
  run_id?: string;
  session?: string;
  /** how long the run may take, such as 90s or 24h; defaults to the flow's own, or forever */
  timeout?: string;
  /** defaults to the one published last */
  version?: string;
  /** id of a flow or workflow */
  workflow: string;
};

export type StatusCounts = {
  cancelled: number;
  completed: number;
  failed: number;
  paused: number;
  running: number;
  waiting: number;
};

export type StepPlan = {
  effects?: Effect[] | null;
  error_node?: string;
  exit: Exit;
  timeout_node?: string;
  writes?: Write[] | null;
};

export type Subscription = {
  created_at: string;
  created_by?: string;
  disabled?: string;
  labels?: { [name: string]: string };
  namespace?: string;
  subscription_id: string;
  types?: string[] | null;
  url: string;
  workflows?: string[] | null;
};

export type SubscriptionSpec = {
  labels?: { [name: string]: string };
  types?: string[] | null;
  url: string;
  workflows?: string[] | null;
};

export type Sweep = {
  /** count, and remove nothing */
  dry_run?: boolean;
  /** how long ago an artifact must have been put, at least 1h */
  older: string;
};

export type Swept = {
  /** of the removed; 0 with dry_run */
  bytes: number;
  kept: number;
  removed: number;
};

export type TimeSums = {
  /** there are more than were looked at: those that changed last */
  partial: boolean;
  /** how many were added up */
  runs: number;
  /** by name */
  workflows: WorkflowTime[];
};

export type Token = {
  actor?: string;
  created_at: string;
  created_by?: string;
  expires_at?: string;
  groups?: string[] | null;
  labels?: { [name: string]: string };
  last_used_at?: string;
  name: string;
  namespace?: string;
  revoked_at?: string;
  revoked_by?: string;
  roles: string[] | null;
  token_id: string;
  workflows?: string[] | null;
};

export type TokenList = {
  tokens: Token[];
};

export type TokenSpec = {
  actor?: string;
  expires_at?: string;
  groups?: string[] | null;
  labels?: { [name: string]: string };
  name: string;
  namespace?: string;
  roles: string[] | null;
  workflows?: string[] | null;
};

export type Tool = {
  annotations: ToolAnnotations;
  /** JSON Schema of the arguments */
  args_schema: Json;
  /** how many calls run at the same time in one process; absent when that is not bounded */
  at_once?: number;
  /** what the policy says about its calls; depends: on the arguments or the run */
  decide: "auto" | "ask" | "deny" | "depends";
  description?: string;
  /** how many bytes of a result go back to the model */
  max_result: number;
  name: string;
  /** the rules that may decide about its calls, in order; the last has no condition */
  rules: ToolRule[];
  /** what a second call does; after a crash in the middle of a call, only once asks a person */
  safety: "once" | "idempotent" | "read_only";
  /** tool_sha256 is the hash of its definition: grants are void when it changes */
  source: ToolSource;
  /** of one call */
  timeout: string;
};

export type ToolAnnotations = {
  destructiveHint: boolean;
  idempotentHint: boolean;
  openWorldHint: boolean;
  readOnlyHint: boolean;
};

export type ToolItem = {
  allowed_decisions: string[] | null;
  annotations: ToolAnnotations;
  args: Json;
  args_schema?: Json;
  args_sha256: string;
  description?: string;
  name: string;
  reason?: string;
  source: ToolSource;
  status: string;
  tool_call_id: string;
};

export type ToolList = {
  servers: ToolServer[];
  tools: Tool[];
};

export type ToolRule = {
  decide: "auto" | "ask" | "deny";
  reason?: string;
  /** a condition; absent, it always holds */
  when?: string;
};

export type ToolServer = {
  /** why they could not */
  error?: string;
  name: string;
  /** its tools could be listed */
  up: boolean;
};

export type ToolSource = {
  kind: string;
  server?: string;
  tool_sha256?: string;
};

export type TraceChange = {
  a?: Json;
  b?: Json;
  path: string;
};

export type TraceDiff = {
  a: TraceSide;
  b: TraceSide;
  changes?: TraceChange[] | null;
  common: number;
  first_a?: Record;
  first_b?: Record;
  fork?: Origin;
};

export type TraceSide = {
  actor?: string;
  created_at: string;
  definition: string;
  ended_at?: string;
  head: string;
  key?: string;
  labels?: { [name: string]: string };
  node?: string;
  origin?: string;
  output?: Json;
  parent?: string;
  root: string;
  run_id: string;
  seq: number;
  session?: string;
  set_aside?: string;
  status: string;
  step: number;
  updated_at: string;
  version: string;
  wake_at?: string;
  workflow: string;
};

export type Tree = {
  /** there are more than are given */
  more?: boolean;
  runs: RunInfo[];
};

export type Upload = {
  /** what to call it in messages, such as its file name */
  name?: string;
  /** the document: YAML or JSON */
  source: string;
};

export type UsagePage = {
  /** cursor of the next page; absent at the end */
  next?: string;
  /** those that asked models; children have their own */
  runs: RunUsage[];
};

export type UsageSums = {
  /** there are more than were looked at: those that changed last */
  partial: boolean;
  /** how many were added up */
  runs: number;
  /** by workflow and model */
  usage: ModelUsage[];
};

export type V2ErrorDetail = {
  /** Where the error occurred, e.g. 'body.items[3].tags' or 'path.thing-id' */
  location?: string;
  /** Error message text */
  message?: string;
  /** The value at the given location */
  value?: Json;
};

export type V2ErrorModel = {
  /** A human-readable explanation specific to this occurrence of the problem. */
  detail?: string;
  /** Optional list of individual error details */
  errors?: V2ErrorDetail[] | null;
  /** A URI reference that identifies the specific occurrence of the problem. */
  instance?: string;
  /** HTTP status code */
  status?: number;
  /** A short, human-readable summary of the problem type. This value should not change between occurrences of the error. */
  title?: string;
  /** A URI reference to human-readable documentation for the error. */
  type?: string;
};

export type Verification = {
  head: string;
  /** what is wrong with the log of checkpoints; then nothing in it counts */
  log_faults?: string[] | null;
  records: number;
  run_id: string;
  /** what the newest signed checkpoint says of it; absent when it says nothing */
  signed?: Signed;
};

export type Wait = {
  again?: boolean;
  allow_free_text?: boolean;
  assignees?: string[] | null;
  choices?: string[] | null;
  created_at: string;
  /** how it was resolved; absent while it is open */
  decision?: Decision;
  default?: Json;
  details?: Json;
  effect: number;
  expires_at?: string;
  item?: number;
  items?: ToolItem[] | null;
  key?: string;
  kind: string;
  message?: string;
  node: string;
  on_expire?: string;
  priority?: number;
  /** how many answers resolve it; always 1 */
  quorum: number;
  repeatable?: boolean;
  response_schema?: Json;
  run_id: string;
  sealed?: string;
  since?: string;
  state?: Json;
  status: "open" | "answered" | "expired" | "closed";
  step: number;
  until?: string;
  wait_id: string;
  /** for which a grant counts that is given with the answer: of a run of an agent step, the flow */
  workflow: string;
};

export type WaitPage = {
  /** cursor of the next page; absent at the end */
  next?: string;
  waits: Wait[];
};

export type WebhookList = {
  webhooks: Subscription[];
};

export type Worker = {
  alive: boolean;
  /** when it counts as dead, unless it says again that it is alive */
  alive_until?: string;
  /** it was asked to take on no more runs */
  drained: boolean;
  /** what the worker of the server that answers has done */
  here?: WorkerCounts;
  host?: string;
  id: string;
  /** its number on the host */
  process?: number;
  /** that it drives at the moment */
  runs: number;
  /** when it was started; like host and process absent when its id does not tell */
  since?: string;
};

export type WorkerCounts = {
  /** runs taken on so far, each time counted */
  claimed: number;
  /** failed calls of the store so far */
  errors: number;
  /** the next timer of all runs */
  next_wake?: string;
  /** runs set aside so far */
  set_aside: number;
};

export type WorkerList = {
  /** by id */
  workers: Worker[];
};

export type WorkflowCount = {
  runs: number;
  statuses: StatusCounts;
  workflow: string;
};

export type WorkflowTime = {
  /** an effect was at work */
  computing_seconds: number;
  /** it could go on, and nobody drove it */
  idle_seconds: number;
  paused_seconds: number;
  /** a wait for a person was open */
  people_seconds: number;
  runs: number;
  /** a timer, an event, a job, a child or the time of the next attempt */
  waiting_seconds: number;
  workflow: string;
};

export type Write = {
  op: string;
  path: string;
  value?: Json;
};
