package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bide-dev/bide/client"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/internal/search"
)

// setting is one thing that can be configured. Its name in a file is name, nested at the dots; in the
// environment BIDE_NAME, with underscores; as a flag what flag says.
type setting struct {
	name, flag, about string
	fallback          func(p *project) string
	check             func(value string) error
}

func always(value string) func(*project) string { return func(*project) string { return value } }

// settings are all that there are.
func settings() []setting {
	return []setting{
		{"store", "store", "where runs are kept: sqlite:PATH, postgres://…, file:FOLDER or mem:", func(p *project) string {
			return "sqlite:" + filepath.Join(p.state(), "bide.db")
		}, checkStore},
		{"server", "server", "address of a server to act through instead of a store, such as http://127.0.0.1:7878", always(""), checkServer},
		{"output", "output", "how data is written: table, json, jsonl or yaml", always(formatTable),
			oneOf(formatTable, formatJSON, formatJSONL, formatYAML)},
		{"actor", "actor", "who acts, as it stands in the ledger; by default the user of the system", func(*project) string { return osUser() }, notEmpty},
		{"flows", "", "folders in which flows are looked for by name", func(p *project) string { return filepath.Join(p.root, "flows") }, nil},
		{"artifacts", "", "where blobs are kept: a folder, or s3://BUCKET/PREFIX, with ?endpoint=https://HOST for a service that is not AWS", func(p *project) string {
			return filepath.Join(p.state(), "artifacts")
		}, notEmpty},
		{"artifacts.above", "", "the size in bytes above which results of effects are kept as artifacts, and named in the ledger; 0 for never", always("0"), number},
		{"allow.exec", "", "programs that exec steps may start, * for any", always(""), nil},
		{"allow.addresses", "", "networks that http steps may reach although they are not public, such as 127.0.0.0/8", always(""), prefixes},
		{"allow.secrets", "", "secrets that flows may use in bide serve and bide work, * for any; elsewhere they may use all", always(""), nil},
		{"models", "", "the models of llm and agent steps; in the environment as JSON", always(""), checkModels},
		{"tools", "", "the tools of tool and agent steps; in the environment as JSON", always(""), checkTools},
		{"encryption.keys", "", "keyring that encrypts what is kept: file:PATH, env:NAME or command:PROGRAM; without one, what is kept is plain", always(""), checkKeys},
		{"redact", "", "rules for what is replaced before it is recorded; in the environment as JSON", always(""), checkRedact},
		{"telemetry.endpoint", "", "collector of OpenTelemetry that traces and metrics are sent to (OTLP over HTTP), such as http://127.0.0.1:4318; none without it and without OTEL_ variables", always(""), nil},
		{"telemetry.payloads", "", "whether traces hold payloads, results and messages of failures, which may be confidential: true or false", always("false"), oneOf("true", "false")},
		{"webhooks.private", "", "whether webhooks may go to this machine and private networks, and over plain http: true or false", always("false"), oneOf("true", "false")},
		{"serve.listen", "listen", "address and port that bide serve and bide dev listen on; port 0 takes any that is free", always("127.0.0.1:7878"), listenAddress},
		{"serve.tls_cert", "tls-cert", "file with the certificate of bide serve, for https; read again when it changes", always(""), nil},
		{"serve.tls_key", "tls-key", "file with the key of that certificate", always(""), nil},
		{"serve.proxies", "", "networks of reverse proxies whose X-Forwarded-For says where requests to bide serve come from", always(""), prefixes},
		{"serve.rate", "", "how many requests a second whoever has a token or login may make", always("100"), positive},
		{"login", "", "how people log in to bide serve with OpenID Connect; in the environment as JSON", always(""), checkLogin},
		{"remote.types", "", "types of effects that remote workers carry out, in flows by effect steps", always(""), effectTypes},
		{"remote.lease", "", "how long a remote worker has a call without a sign of life", always("30s"), duration},
		{"checkpoint.key", "", "file with the private keys that sign checkpoints of the store while a worker or server is at work; see bide key", always(""), nil},
		{"checkpoint.every", "", "how long a record may be without a checkpoint", always("1m"), duration},
		{"worker.runs", "runs", "how many runs a worker drives at once", always("256"), positive},
		{"worker.lease", "lease", "how long a worker's claims last without a sign of life", always("30s"), duration},
		{"worker.poll", "poll", "how often a worker looks for what other processes made runnable", always("1s"), duration},
	}
}

func settingNames() (names []string) {
	for _, s := range settings() {
		names = append(names, s.name)
	}
	return names
}

func envName(name string) string {
	return "BIDE_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

func oneOf(words ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(words, value) {
			return nil
		}
		if near := search.Nearest(value, words); near != "" {
			return fmt.Errorf("%q is none of %s; did you mean %q?", value, strings.Join(words, ", "), near)
		}
		return fmt.Errorf("%q is none of %s", value, strings.Join(words, ", "))
	}
}

func notEmpty(value string) error {
	if value == "" {
		return errors.New("is empty")
	}
	return nil
}

func positive(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 1 {
		return fmt.Errorf("%q is not a number from 1 on", value)
	}
	return nil
}

func number(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 0 {
		return fmt.Errorf("%q is not a number from 0 on", value)
	}
	return nil
}

func duration(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration such as 30s", value)
	}
	return nil
}

func prefixes(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		if _, err := netip.ParsePrefix(part); part != "" && err != nil {
			return fmt.Errorf("%q is not a network such as 127.0.0.0/8", part)
		}
	}
	return nil
}

func listenAddress(value string) error {
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		return fmt.Errorf("%q is not an address and port such as 127.0.0.1:7878", value)
	}
	return nil
}

func effectTypes(value string) error {
	seen := map[string]bool{}
	for typ := range strings.SplitSeq(value, ",") {
		if err := flow.CheckEffectType(typ); typ != "" && err != nil {
			return err
		}
		if seen[typ] {
			return fmt.Errorf("%q is there twice", typ)
		}
		seen[typ] = true
	}
	return nil
}

func checkStore(value string) error {
	scheme, rest, ok := strings.Cut(value, ":")
	if ok && (slices.Contains([]string{"sqlite", "file", "postgres", "postgresql"}, scheme) && rest != "" || scheme == "mem" && rest == "") {
		return nil
	}
	return fmt.Errorf("%q names no store; use sqlite:PATH, file:FOLDER, mem: or postgres://…", value)
}

func checkServer(value string) error {
	if value == "" {
		return nil
	}
	_, err := client.New(value, nil)
	return err
}

func osUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "somebody"
}

// project is the folder that the commands work in: the nearest one, from the
// working directory upwards, with a bide.yaml or a .bide folder; else the working directory.
type project struct {
	root string
	file string // the configuration; empty when there is none
}

// state is the folder for what bide itself keeps.
func (p *project) state() string { return filepath.Join(p.root, ".bide") }

// findProject looks upwards from dir. Both files in one folder are an error: one would be passed over.
func findProject(dir string) (*project, error) {
	exists := func(name string) bool {
		_, err := os.Stat(name)
		return err == nil
	}
	for at := dir; ; at = filepath.Dir(at) {
		plain, hidden := filepath.Join(at, "bide.yaml"), filepath.Join(at, ".bide", "config.yaml")
		switch {
		case exists(plain) && exists(hidden):
			return nil, &problem{code: exitUsage, what: fmt.Sprintf("there are two configurations, %s and %s", plain, hidden),
				why: "one of them would be passed over; keep one"}
		case exists(plain):
			return &project{at, plain}, nil
		case exists(hidden):
			return &project{at, hidden}, nil
		case exists(filepath.Join(at, ".bide")):
			return &project{root: at}, nil
		case filepath.Dir(at) == at:
			return &project{root: dir}, nil
		}
	}
}

// origin is where a value comes from.
type origin struct {
	value, from string
}

// config is every setting with its value and origin.
type config struct {
	project *project
	values  map[string]origin
	// flowEnv are the settings of flows, by name: env in the file and BIDE_ENV_NAME over that, where the name is in capitals.
	flowEnv map[string]string
	// secrets are those of flows: BIDE_SECRET_NAME, with the name in capitals. They are in no file.
	secrets map[string]string
	// uploaded says that flows come from others than whoever started the process, as in bide serve: what they may use is then
	// what the configuration names, and not what happens to be in the environment.
	uploaded bool
	// environ is the environment.
	environ []string
	// strange are variables of the environment that look like settings and are none.
	strange []string
}

// The beginnings of variables that are not settings of bide, but of flows.
const (
	envPrefix    = "BIDE_ENV_"
	secretPrefix = "BIDE_SECRET_"
)

// env is a setting of flows.
func (c *config) env(name string) (value string, ok bool) {
	if value, ok = c.flowEnv[strings.ToUpper(name)]; ok {
		return value, true
	}
	value, ok = c.flowEnv[name]
	return value, ok
}

func (c *config) get(name string) string { return c.values[name].value }

// getenv returns a variable of the environment.
func (c *config) getenv(name string) (value string) {
	for _, pair := range c.environ { // the last counts
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			value = v
		}
	}
	return value
}

// duration is the value of a setting that was checked to be a duration.
func (c *config) duration(name string) time.Duration {
	d, err := time.ParseDuration(c.get(name))
	if err != nil {
		panic(err) // it was checked when it was read
	}
	return d
}

// remote reports whether a flow has effects that only remote workers carry out, who ask servers for work.
func (c *config) remote(d *flow.Doc) bool {
	types := c.list("remote.types")
	return slices.ContainsFunc(d.Effects(), func(typ string) bool { return slices.Contains(types, typ) })
}

// carriesOut fails when flows have effects that a process that serves nobody cannot carry out.
func (c *config) carriesOut(docs ...*flow.Doc) error {
	for _, d := range docs {
		if c.remote(d) {
			return &problem{code: exitUsage, what: fmt.Sprintf("flow %s has effects that remote workers carry out, and they come to servers only", d.ID()),
				why: "start it with bide start, and have bide dev or bide serve at work on the store; or act through a server with --server", next: "bide dev"}
		}
	}
	return nil
}

// list is the value of a setting that holds several.
func (c *config) list(name string) []string {
	return strings.FieldsFunc(c.get(name), func(r rune) bool { return r == ',' })
}

// loadConfig reads the settings: defaults, then the file, then the environment, then flags, each over the ones before.
// It fails, listing every fault, when a name is not known or a value cannot be used.
func loadConfig(p *project, env []string, flags map[string]string) (*config, error) {
	c := &config{project: p, values: map[string]origin{}, flowEnv: map[string]string{}, secrets: map[string]string{}, environ: env}
	var faults []string
	for _, s := range settings() {
		c.values[s.name] = origin{s.fallback(p), "default"}
	}
	if p.file != "" {
		bad, err := c.readFile(p.file)
		if err != nil {
			return nil, err
		}
		faults = append(faults, bad...)
	}
	faults = append(faults, c.readEnv(env)...)
	for name, value := range flags {
		for _, s := range settings() {
			if s.flag == name {
				c.values[s.name] = origin{value, "flag --" + name}
			}
		}
	}
	for _, s := range settings() {
		v := c.values[s.name]
		if s.check == nil || v.from == "default" {
			continue
		}
		if err := s.check(v.value); err != nil {
			faults = append(faults, fmt.Sprintf("%s, %s: %s", v.from, s.name, plainly(err)))
		}
	}
	if len(faults) > 0 {
		return nil, &problem{code: exitUsage, what: "the configuration cannot be used", why: strings.Join(faults, "\n"), next: "bide help config"}
	}
	return c, nil
}

func (c *config) readFile(name string) (faults []string, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &problem{code: exitNotFound, what: fmt.Sprintf("there is no configuration %s", name), err: err}
		}
		return nil, err
	}
	entries, err := readEntries(text)
	if err != nil {
		return nil, &problem{code: exitUsage, what: fmt.Sprintf("the configuration %s cannot be read", name), why: err.Error(), err: err}
	}
	names := settingNames()
	lines := map[string]int{}
	for _, e := range entries {
		from := fmt.Sprintf("%s:%d", name, e.line)
		if first, twice := lines[e.path]; twice {
			faults = append(faults, fmt.Sprintf("%s: %s is set a second time; line %d has it first", from, e.path, first))
			continue
		}
		lines[e.path] = e.line
		if name, ok := strings.CutPrefix(e.path, "env."); ok && name != "" {
			c.flowEnv[name] = e.value
			continue
		}
		if !slices.Contains(names, e.path) {
			faults = append(faults, from+": "+unknownSetting(e.path, names))
			continue
		}
		if e.path == "store" {
			e.value = relativeStore(e.value, c.project.root)
		}
		if e.path == "encryption.keys" {
			e.value = relativeKeys(e.value, c.project.root)
		}
		if e.path == "artifacts" && !strings.HasPrefix(e.value, "s3:") {
			e.value = relativeTo(e.value, c.project.root)
		}
		if slices.Contains([]string{"flows", "checkpoint.key", "serve.tls_cert", "serve.tls_key"}, e.path) {
			e.value = relativeTo(e.value, c.project.root)
		}
		c.values[e.path] = origin{e.value, from}
	}
	return faults, nil
}

// relativeStore reads the path of a store in a file as one from the project's folder.
func relativeStore(url, root string) string {
	scheme, path, ok := strings.Cut(url, ":")
	if !ok || scheme != "sqlite" && scheme != "file" || path == "" || filepath.IsAbs(path) {
		return url
	}
	return scheme + ":" + filepath.Join(root, path)
}

func relativeTo(list, root string) string {
	parts := strings.Split(list, ",")
	for i, part := range parts {
		if part != "" && !filepath.IsAbs(part) {
			parts[i] = filepath.Join(root, part)
		}
	}
	return strings.Join(parts, ",")
}

// plainly is an error in words that do not name types of this program.
func plainly(err error) string {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return fmt.Sprintf("%s is %s, where %s belongs", cmp.Or(typ.Field, "it"), oneOfType(typ.Value), belongs(typ.Type.Kind()))
	}
	return wrongYAML.ReplaceAllString(err.Error(), "line $1: a value of type $2$3 stands where one of another type belongs")
}

// wrongYAML is how the YAML library says that a value has the wrong type.
var wrongYAML = regexp.MustCompile("(?:yaml: construct errors: )?line (\\d+): cannot construct !!(\\w+)( `[^`]*`)? into \\S+")

// oneOfType is a JSON type, which may have a value after it, with its article.
func oneOfType(typ string) string {
	if strings.ContainsAny(typ[:1], "aeiou") {
		return "an " + typ
	}
	return "a " + typ
}

// belongs names what a kind of value is in a configuration.
func belongs(k reflect.Kind) string {
	switch k {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	}
	return "a number"
}

func unknownSetting(name string, names []string) string {
	if below := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, name+".") }); len(below) > 0 {
		return fmt.Sprintf("%s has no value of its own; there are %s", name, strings.Join(below, ", "))
	}
	if near := search.Nearest(name, names); near != "" {
		return fmt.Sprintf("there is no setting %q; did you mean %q?", name, near)
	}
	return fmt.Sprintf("there is no setting %q; there are %s", name, strings.Join(names, ", "))
}

// readEnv takes the variables that are settings. One that is nearly a setting
// is a fault; other BIDE_ variables may belong to somebody else (a cluster makes BIDE_PORT for a
// service named bide), and are only remembered.
func (c *config) readEnv(env []string) (faults []string) {
	names := map[string]string{}
	var known []string
	for _, s := range settings() {
		names[envName(s.name)] = s.name
		known = append(known, envName(s.name))
	}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "BIDE_") || value == "" || name == tokenVariable { // empty is as good as not set
			continue
		}
		if rest, ok := strings.CutPrefix(name, envPrefix); ok {
			c.flowEnv[rest] = value
			continue
		}
		if rest, ok := strings.CutPrefix(name, secretPrefix); ok {
			c.secrets[rest] = value
			continue
		}
		if setting, ok := names[name]; ok {
			c.values[setting] = origin{value, "environment " + name}
			continue
		}
		c.strange = append(c.strange, name)
		if near := search.Nearest(name, known); near != "" {
			faults = append(faults, fmt.Sprintf("environment: there is no %s; did you mean %s?", name, near))
		}
	}
	return faults
}
