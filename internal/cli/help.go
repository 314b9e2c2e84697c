package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/internal/search"
)

// helpTopics are what bide help says besides the commands.
func helpTopics() []*cobra.Command {
	topic := func(name, short, long string) *cobra.Command {
		return &cobra.Command{Use: name, Short: short, Long: long}
	}
	return []*cobra.Command{
		topic("exit-codes", "What the exit codes mean", exitCodesHelp),
		topic("search", "How to look for runs", searchHelp()),
		topic("output", "The formats of data", outputHelp),
	}
}

func searchHelp() string {
	return `A search is words and fields, joined by and:

  bide ls status:waiting flow:refund since:1h label:team=ops "order 42"

A word must be part of the run's id, flow, step, key, session, actor or labels; case does not matter. A
word with a space or a colon is quoted. A field with several values, or given more than once, means any of them; each
label must be there. Times are how long ago (90s, 1h, 3d, 2w), a date, or a time in RFC 3339.

  ` + strings.Join(search.Fields(), "\n  ") + "\n"
}

const outputHelp = `Data goes to standard output, words for people to standard error.

  -o table   for people; it may change
  -o json    one value: an object, or an array where there may be several
  -o jsonl   one value a line
  -o yaml    as json

The names and meanings of members in json, jsonl and yaml are stable: members may be added, and
none is renamed or removed. Names are snake_case, times are RFC 3339 in UTC, durations are text such as "1m30s", numbers keep the text
they were written with.
`

const configHelp = `Settings come from the configuration file, from the environment over that, and
from flags over both. The file is bide.yaml or .bide/config.yaml in the working directory or the nearest
folder above it that has one:

  store: sqlite:.bide/bide.db    # BIDE_STORE, --store
  output: table                  # BIDE_OUTPUT, --output
  actor: ann                     # BIDE_ACTOR, --actor
  server: ""                     # an address such as https://bide.example.com, to act through in place of a store; BIDE_SERVER, --server
  flows: [flows]                 # BIDE_FLOWS, separated by commas
  artifacts: .bide/artifacts     # where blobs are kept: a folder, or s3://BUCKET/PREFIX; one for all servers of a store; BIDE_ARTIFACTS
  artifacts.above: 0             # results of effects with more bytes are kept there; 0 for none; BIDE_ARTIFACTS_ABOVE
  allow:
    exec: [git]                  # programs that exec steps may start; BIDE_ALLOW_EXEC
    addresses: [127.0.0.0/8]     # what http steps may reach besides public addresses; BIDE_ALLOW_ADDRESSES
    secrets: [shop_key]          # secrets that flows may use in bide serve and work; BIDE_ALLOW_SECRETS
  env:
    region: eu                   # what flows read as env.region; BIDE_ENV_REGION
  models:                        # of llm and agent steps; BIDE_MODELS, as JSON
    default: openai/gpt-5-mini
    providers:
      openai: {key: env:OPENAI_API_KEY}  # where the key is, never the key itself
      scripted: {file: replies.yaml}     # answers without a model
  tools:                         # of tool and agent steps; none unless named here; BIDE_TOOLS, as JSON
    workspace: work              # a folder, for list_files, read_file, search_files, write_file and edit_file
    exec: [git]                  # programs that run_command may start there, * for any
    fetch: true                  # reads public web pages
    policy:                      # the first that matches; a person is asked about all other calls
      - {tool: read_file, decide: auto}
    mcp:                         # servers of the Model Context Protocol
      - {name: files, command: [mcp-files, work]}
  encryption:
    keys: file:.bide/keyring     # encrypts what is kept; or env:NAME, command:PROGRAM; BIDE_ENCRYPTION_KEYS
  redact:                        # what is replaced before it is recorded; BIDE_REDACT, as JSON
    - {name: card, pattern: card}         # or email, iban, a regular expression
    - {name: ssn, path: "**.ssn", workflow: intake}
  telemetry:
    endpoint: http://127.0.0.1:4318  # a collector of OpenTelemetry; BIDE_TELEMETRY_ENDPOINT
    payloads: false              # whether traces hold payloads and results; BIDE_TELEMETRY_PAYLOADS
  webhooks:
    private: false               # true: webhooks may go to this machine and over plain http; BIDE_WEBHOOKS_PRIVATE
  serve:                         # of bide serve; listen also of bide dev
    listen: 127.0.0.1:7878       # BIDE_SERVE_LISTEN, --listen
    tls_cert: cert.pem           # https without a proxy; read again when it changes; BIDE_SERVE_TLS_CERT, --tls-cert
    tls_key: key.pem             # BIDE_SERVE_TLS_KEY, --tls-key
    proxies: [10.0.0.0/8]        # whose X-Forwarded-For counts; BIDE_SERVE_PROXIES
    rate: 100                    # requests a second by one token or person; BIDE_SERVE_RATE
  login:                         # people log in with OpenID Connect; BIDE_LOGIN, as JSON
    issuer: https://id.example.com
    client_id: bide
    client_secret: oidc          # the name of a secret: BIDE_SECRET_OIDC holds it
    redirect_url: https://bide.example.com/auth/callback
    members:                     # the first whose group a person is in; * is everybody
      - {group: ops, roles: [operator, approver]}
  remote:                        # effects that remote workers carry out
    types: [resize]              # in flows {effect: {type: resize}}; BIDE_REMOTE_TYPES
    lease: 30s                   # BIDE_REMOTE_LEASE
  checkpoint:
    key: ops.key                 # the file of bide key, to sign checkpoints with while a worker or server is at work; BIDE_CHECKPOINT_KEY
    every: 1m                    # how long a record may be without one; BIDE_CHECKPOINT_EVERY
  worker:
    runs: 256                    # BIDE_WORKER_RUNS
    lease: 30s                   # BIDE_WORKER_LEASE
    poll: 1s                     # BIDE_WORKER_POLL

Secrets of flows are in no file: BIDE_SECRET_NAME in the environment, with the name in capitals.
Headers and variables of MCP servers refer to them as ${secret:NAME}. Well-known providers of models need no entry: their
keys are OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, GROQ_API_KEY and OPENROUTER_API_KEY.

bide serve and bide work carry out flows of others. There, flows may use the providers under models (an empty entry, such as
openai: {}, will do), the tools, programs and addresses that are named here, and the secrets of allow.secrets: what
happens to be in the environment is not theirs.

Traces and metrics of what a worker does are sent when telemetry.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT is set, as OTLP over HTTP
(http/protobuf). The standard variables count: OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER (otlp or none), OTEL_EXPORTER_OTLP_HEADERS,
_TIMEOUT, _COMPRESSION and _PROTOCOL, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_SDK_DISABLED.

A name that is not known is an error. Paths in the file are relative to the project, also in one that --config names from elsewhere; those of
flags and the environment to the working directory.`
