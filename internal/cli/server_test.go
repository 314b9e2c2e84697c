package cli_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"
)

// serving starts a command that serves, and returns its address and what ends it.
func serving(t *testing.T, dir string, args ...string) (url string, end func()) {
	t.Helper()
	if !slices.Contains(args, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	cmd := exec.Command("bide", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "BIDE_ACTOR=ann", "TZ=UTC")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
			return
		} else if err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q ended with %v", args, err)
		}
	}
	t.Cleanup(end)
	address := regexp.MustCompile(`https?://127\.0\.0\.1:\d+`)
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if url = address.FindString(lines.Text()); url != "" {
			go func() { _, _ = io.Copy(io.Discard, said) }() // it may say more than a pipe holds, until it ends
			return url, end
		}
	}
	t.Fatalf("%q does not say where it listens", args)
	return "", nil
}

// project makes a folder with some flows of the tests.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "flows"), os.DirFS("testdata/flows")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "flows", "broken.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bide.yaml"), []byte("output: table\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wants runs a command and wants its exit code, and texts in what it writes.
func wants(t *testing.T, dir string, code int, args []string, texts ...string) string {
	t.Helper()
	r := bide(t, dir, args...)
	all := r.stdout.String() + r.stderr.String()
	if r.code != code {
		t.Fatalf("bide %q = %d, want %d:\n%s", args, r.code, code, all)
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("bide %q does not say %q:\n%s", args, text, all)
		}
	}
	return strings.TrimSpace(r.stdout.String())
}

// Every command that acts on runs does so through a server, too.
func TestEveryCommandActsThroughAServer(t *testing.T) {
	dir := project(t)
	public := wants(t, dir, 0, []string{"key", "ops", "--private", "ops.key"})
	if err := os.WriteFile(filepath.Join(dir, "bide.yaml"), []byte("checkpoint:\n  key: ops.key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, _ := serving(t, dir, "dev")
	elsewhere := project(t) // where no store is
	t.Setenv("BIDE_SERVER", url)
	tried := map[string]bool{}
	do := func(code int, line string, texts ...string) string {
		t.Helper()
		words := strings.Fields(line)
		tried[words[0]] = true
		if len(words) > 1 {
			tried[words[0]+" "+words[1]] = true
		}
		return wants(t, elsewhere, code, words, texts...)
	}
	if err := os.WriteFile(filepath.Join(elsewhere, "ops.pub"), []byte(public+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// waiting starts a run that asks, and returns its id once it does.
	waiting := func(key string) string {
		t.Helper()
		do(6, "run ask --key "+key, "is waiting")
		return do(0, "start ask --key "+key)
	}
	id := waiting("k1")
	do(0, "ls status:waiting -o jsonl", id)
	do(0, "inbox", id+".1", "question")
	do(0, "show "+id, "wait.opened")
	do(0, "why "+id, id+".1")
	do(0, "state "+id+" --at 1", "input")
	do(0, "pause "+id+" --reason lunch")
	do(4, "pause "+id)
	do(0, "unpause "+id)
	do(0, "send greeting --run "+id)
	do(2, "answer "+id+" nonsense")
	link := do(0, "link "+id+" --for bob --expires 1h", "link:bob may answer")
	if page, err := http.Get(link); err != nil {
		t.Error(err)
	} else if body, err := io.ReadAll(page.Body); err != nil || page.StatusCode != 200 || !strings.HasPrefix(link, url) || !strings.Contains(string(body), "link:bob") {
		t.Errorf("the page at %s = %d %s %v", link, page.StatusCode, body, err)
	}
	var kept []struct {
		ID string `json:"link_id"`
	}
	if err := json.Unmarshal([]byte(do(0, "link list "+id+" -o json", "link:bob")), &kept); err != nil || len(kept) != 1 {
		t.Fatalf("link list = %v, %v", kept, err)
	}
	do(0, "link revoke "+kept[0].ID, "opens nothing any more")
	if page, err := http.Get(link); err != nil || page.StatusCode != http.StatusGone {
		t.Errorf("the page of the revoked link = %v, %v; want 410", page, err)
	}
	do(0, "approve "+id)
	do(0, "run --resume "+id, "Ledger verified")
	do(0, "tail "+id+" --follow", "run.completed")
	do(0, "verify "+id, "yes")
	do(0, "replay "+id)
	do(0, "schedule add nightly ask --cron @daily", "nightly")
	do(0, "schedule ls", "nightly")
	do(0, "schedule pause nightly")
	do(0, "schedule rm nightly")
	worker, _, _ := strings.Cut(do(0, "workers -o jsonl", `"alive":true`)[len(`{"id":"`):], `"`)
	do(0, "workers drain "+worker, "drained")
	do(0, "workers", "drained")
	do(0, "workers undrain "+worker, "at work")
	do(0, "workers load")
	do(0, "doctor", url)
	failed := do(0, "start fail")
	do(5, "run --resume "+failed)
	do(0, "retry "+failed)
	other := waiting("k2")
	do(0, "cancel "+other)
	do(0, "delete "+other+" --yes")
	do(3, "show "+other)
	do(4, "shred "+id+" --yes", "not encrypted")
	do(0, "diff "+id+" "+failed, "VARIABLE")
	do(0, "report "+id, "run")
	do(0, "fork "+id+" --at 1 --preview")
	fork := do(0, "fork "+id+" --at 1 --run-id again --reason why", "goes on from record 1")
	do(0, "show "+fork, "again")
	do(0, "state "+fork)
	do(3, "migrate "+fork+" --to nothing")
	question := waiting("k3")
	do(0, "reject "+question)
	do(4, "respond "+question+".1 no")
	var before string
	if m := regexp.MustCompile(`"version":"([^"]+)"`).FindStringSubmatch(do(0, "ls -o jsonl flow:ask")); m != nil {
		before = m[1]
	}
	do(0, "migrate "+waiting("k4")+" --to "+before, "goes on with version")
	do(0, "token create shop --role viewer", "not shown again")
	shop := regexp.MustCompile(`"token_id":"([^"]+)"`).FindStringSubmatch(do(0, "token list -o jsonl", `"name":"shop"`, `"created_by":"ann"`))
	do(0, "token revoke "+shop[1], "shop")
	do(3, "token revoke none")
	do(2, "token create x --role king", "king")
	do(0, "grant ls")
	do(3, "grant revoke none", "bide grant ls")
	do(0, "webhook add https://example.com/x --type run.failed", "not shown again")
	hook := regexp.MustCompile(`"subscription_id":"([^"]+)"`).FindStringSubmatch(do(0, "webhook ls -o jsonl", "https://example.com/x"))
	do(0, "webhook rotate "+hook[1], "whsec_", "24 hours")
	do(3, "webhook rotate none", "bide webhook ls")
	do(3, "webhook redeliver "+id)
	do(0, "webhook rm "+hook[1])
	do(0, "hook add paid --style github --to session:s", "not shown again")
	inbound := regexp.MustCompile(`"hook_id":"([^"]+)"`).FindStringSubmatch(do(0, "hook ls -o jsonl", `"paid"`))
	do(2, "hook add paid --style smoke", "standard, github and stripe")
	do(0, "hook rm "+inbound[1])
	do(3, "hook rm none", "bide hook ls")
	do(0, "schedule add weekly ask --cron @weekly")
	do(0, "schedule show weekly", "weekly")
	do(0, "schedule next weekly")
	do(0, "schedule pause weekly")
	do(0, "schedule resume weekly")
	do(0, "checkpoint", "ops ")
	do(2, "checkpoint --key x", "its own key")
	do(0, "proof "+id, `"leaf"`)
	do(0, "proof "+id+" 2", `"record`)
	do(2, "proof "+id+" two")
	do(0, "export "+id+" --to x.bide", "x.bide")
	do(0, "inspect x.bide", id)
	do(0, "export --to all.bide --artifacts artifacts --documents flow --documents bookmark", "written to all.bide")
	do(0, "verify all.bide --public ops.pub")
	do(2, "export --to y.bide --key ops.key", "no private keys but its own")
	do(2, "export --to y.bide --artifacts blobs", "its own artifacts")
	do(4, "export --to x.bide", "already")
	do(3, "export nothing --to y.bide")
	whole, err := os.ReadFile(filepath.Join(elsewhere, "x.bide"))
	if err != nil {
		t.Fatal(err)
	}
	do(0, "import x.bide", "0 runs imported, 1 there already")
	do(2, "import x.bide --artifacts blobs", "its own artifacts")
	if err := os.WriteFile(filepath.Join(elsewhere, "torn.bide"), whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	do(8, "import torn.bide", "cannot import torn.bide", "the file ends after line")
	do(0, "flow test --from "+id, "answers:")
	do(3, "flow test --from nobody")
	do(0, "compact", "it had")
	do(0, "retention gc --older 2h --dry-run", "0 artifacts removed")
	do(2, "retention gc --older 1m", "the least age")
	do(0, "bookmark add marked "+id+" --at 2 --tag good", "record 2")
	do(0, "bookmark ls --tag good", "marked")
	do(0, "bookmark rm marked")
	do(3, "bookmark rm marked")
	do(0, "retention hold "+id+" --reason lawsuit")
	do(0, "retention apply --after 1ns --status completed --dry-run", "under a hold")
	do(0, "retention unhold "+id)
	do(2, "retention apply --after 1ns --archive old --yes", "its own artifacts")
	do(0, "retention apply --after 1ns --status completed --archive artifacts --yes", id)
	for _, line := range []string{"work", "serve", "dev", "backup x.db", "copy --to file:x", "rewrap", "verify --all --public x"} {
		do(2, line, "works on the store itself", "--store")
	}
	// Those that act on no runs.
	for _, name := range []string{"key", "keyring", "inspect", "restore", "flow", "init", "config", "version", "completion", "help", "exit-codes", "search", "mcp"} {
		tried[name] = true
	}
	command := regexp.MustCompile(`(?m)^  ([a-z][a-z-]+) {2,}`)
	for _, m := range command.FindAllStringSubmatch(wants(t, elsewhere, 0, []string{"help"}), -1) {
		if !tried[m[1]] {
			t.Errorf("nobody has tried bide %s through a server", m[1])
		}
		below := wants(t, elsewhere, 0, []string{m[1], "--help"})
		if _, list, ok := strings.Cut(below, "Available Commands:"); ok && m[1] != "flow" && m[1] != "completion" && m[1] != "config" {
			list, _, _ = strings.Cut(list, "Flags:")
			for _, sub := range command.FindAllStringSubmatch(list, -1) {
				if !tried[m[1]+" "+sub[1]] {
					t.Errorf("nobody has tried bide %s %s through a server", m[1], sub[1])
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join(elsewhere, ".bide", "bide.db")); err == nil {
		t.Error("a command through a server made a store")
	}
}

// A server for others lets nobody in without a token, and each token no further than its role.
func TestServeLetsInWhoHasAToken(t *testing.T) {
	dir := project(t)
	operator := wants(t, dir, 0, []string{"token", "create", "ops", "--role", "author"}, "not shown again")
	approver := wants(t, dir, 0, []string{"token", "create", "boss", "--role", "approver", "--actor", "zoe"})
	wants(t, dir, 2, []string{"token", "create", "x", "--role", "king"}, "king")
	url, end := serving(t, dir, "serve")
	do := func(token string, code int, line string, texts ...string) string {
		t.Helper()
		t.Setenv("BIDE_SERVER", url)
		t.Setenv("BIDE_TOKEN", token)
		defer t.Setenv("BIDE_SERVER", "")
		return wants(t, dir, code, strings.Fields(line), texts...)
	}
	do("", 1, "ls", "credentials")
	do(operator+"x", 1, "ls", "token")
	do(operator, 6, "run ask --key k1")
	id := do(operator, 0, "start ask --key k1")
	do(operator, 1, "approve "+id, "decide")
	do(approver, 1, "cancel "+id+" --yes", "operate")
	do(approver, 0, "approve "+id+" --actor somebody")
	do(approver, 0, "tail "+id+" --follow -o jsonl", `"actor":"zoe"`)
	list := wants(t, dir, 0, []string{"token", "list", "-o", "jsonl"}, "boss")
	boss := regexp.MustCompile(`"token_id":"([^"]+)","name":"boss"`).FindStringSubmatch(list)
	if boss == nil || strings.Contains(list, approver) {
		t.Fatalf("the tokens are %s", list)
	}
	wants(t, dir, 0, []string{"token", "revoke", boss[1]})
	do(approver, 1, "ls", "token")
	end()
}

// Runs move from server to server as from store to store, with the same report; on the way the file is for whom it was encrypted alone.
func TestRunsMoveFromServerToServer(t *testing.T) {
	from, to, here := project(t), project(t), project(t)
	boss := wants(t, to, 0, []string{"token", "create", "boss", "--role", "admin"})
	tenant := wants(t, to, 0, []string{"token", "create", "tenant", "--role", "admin", "--namespace", "acme"})
	source, _ := serving(t, from, "dev")
	target, _ := serving(t, to, "serve")
	do := func(server, token string, code int, line string, texts ...string) string {
		t.Helper()
		t.Setenv("BIDE_SERVER", server)
		t.Setenv("BIDE_TOKEN", token)
		return wants(t, here, code, strings.Fields(line), texts...)
	}
	me, err := age.GenerateX25519Identity()
	if err == nil {
		err = os.WriteFile(filepath.Join(here, "me.key"), []byte(me.String()+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	id := do(source, "", 0, "start ask")
	done := do(source, "", 0, "start ask")
	do(source, "", 0, "approve "+done)
	do(source, "", 0, "run --resume "+done)
	do(source, "", 0, "export "+id+" "+done+" --to runs.bide --recipient "+me.Recipient().String(), "2 runs written to runs.bide")
	do(target, boss, 2, "import runs.bide", "the file is encrypted")
	do(target, tenant, 1, "import runs.bide --identity me.key", "installation")
	report := do(target, boss, 0, "import runs.bide --identity me.key --live -o json", `"runs": 2`, `"live": 1`)
	if local := do("", "", 0, "import runs.bide --identity me.key --live -o json --store file:copy"); local != report {
		t.Errorf("the server reports %s, the command on a store %s", report, local)
	}
	do(target, boss, 0, "import runs.bide --identity me.key --live", "0 runs imported, 2 there already")
	do(target, boss, 0, "approve "+id)
	do(target, boss, 0, "run --resume "+id, "Ledger verified")
	if all := do(target, boss, 0, "export --to -"); !strings.Contains(all, done) || strings.Count(all, `{"run":`) != 2 {
		t.Errorf("the whole store of the other server is %.300s", all)
	}
	do(target, tenant, 1, "export --to none.bide", "installation")
	if _, err := os.Stat(filepath.Join(here, "none.bide")); err == nil {
		t.Error("an export that was refused left a file")
	}
	t.Setenv("BIDE_SERVER", "")
}

// Through a server that encrypts what it keeps, a run whose content was destroyed is shown as such, and nothing is an error that need not be.
func TestShreddingThroughAServer(t *testing.T) {
	dir := project(t)
	wants(t, dir, 0, []string{"keyring", "k1", "--file", "ring"})
	t.Setenv("BIDE_ENCRYPTION_KEYS", "file:"+filepath.Join(dir, "ring"))
	url, _ := serving(t, dir, "dev")
	t.Setenv("BIDE_ENCRYPTION_KEYS", "")
	elsewhere := project(t)
	t.Setenv("BIDE_SERVER", url)
	wants(t, elsewhere, 6, []string{"run", "text", "--key", "k1"})
	id := wants(t, elsewhere, 0, []string{"start", "text", "--key", "k1"})
	wants(t, elsewhere, 0, []string{"answer", id, "my secret number"})
	wants(t, elsewhere, 0, []string{"run", "--resume", id}, "my secret number", "Ledger verified")
	wants(t, elsewhere, 0, []string{"verify", id}, "yes")
	wants(t, elsewhere, 0, []string{"compact"}, "it had")
	wants(t, elsewhere, 0, []string{"export", id, "--to", "sealed.bide", "--artifacts", "artifacts"}, "1 run written")
	if file, err := os.ReadFile(filepath.Join(elsewhere, "sealed.bide")); err != nil || strings.Contains(string(file), "my secret") {
		t.Errorf("the export has the content in the clear, %v", err)
	}
	wants(t, elsewhere, 0, []string{"import", "sealed.bide"}, "1 there already")
	wants(t, elsewhere, 0, []string{"shred", id, "--yes", "--reason", "asked to"})
	if said := wants(t, elsewhere, 0, []string{"show", id}, "asked to", "run.shredded"); strings.Contains(said, "my secret number") {
		t.Errorf("the run is shown with its content:\n%s", said)
	}
	wants(t, elsewhere, 0, []string{"tail", id}, "encrypted")
	wants(t, elsewhere, 0, []string{"report", id}, "destroyed")
	wants(t, elsewhere, 0, []string{"verify", id}, "yes")
	wants(t, elsewhere, 3, []string{"state", id, "--at", "2"}, "was destroyed")
	for path, status := range map[string]int{
		"": 200, "/ledger": 200, "/tree": 200, "/verification": 200, "/usage": 200, "/stream": 200, "/fork?seq=2": 410, "?at=2": 410, "/replay": 410,
	} {
		resp, err := http.Get(url + "/v1/runs/" + id + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != status || strings.Contains(string(body), "my secret") {
			t.Errorf("GET %s = %d, %v, want %d:\n%s", path, resp.StatusCode, err, status, body)
		}
	}
	resp, err := http.Get(url + "/v1/waits/" + id + ".1")
	if err != nil || resp.StatusCode != http.StatusGone {
		t.Errorf("GET of its wait = %v, %v; want 410", resp, err)
	}
	resp.Body.Close()
}
