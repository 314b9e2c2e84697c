package gateway_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
)

// The commands of the README do what it says, in their order.
func TestTheReadmeIsTrue(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("there is no curl; scripts/python installs it")
	}
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), "mem:", nil)
	if err != nil {
		t.Fatal(err)
	}
	flow.Handle(e.Runtime, nil)
	guard := auth.New(e.Store(), &auth.Options{Anonymous: &auth.Principal{Actor: "ann", Roles: []auth.Role{auth.Administrator}}})
	srv := bide.Must(gateway.New(e.Runtime, e.Store(), &gateway.Options{Authenticate: guard.Protect}))
	ts := httptest.NewServer(srv)
	t.Cleanup(func() {
		srv.Close()
		ts.Close()
		if err := e.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	said := ""
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		script := strings.NewReplacer("http://127.0.0.1:7878", ts.URL, " -m 1 ", " -m 3 ").Replace(m[1]) // of a machine that is slow
		if strings.Contains(script, "/order-42/stream") {
			asked(t, e)
		}
		out, err := exec.Command("sh", "-ec", script).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		said += string(out)
	}
	rest := said
	for _, want := range []string{
		`"workflow":"refund"`, `"run_id":"order-42"`, // publish, start
		"event: record", "id: 1\n", "wait.opened", "id: 4\n", "wait.opened", "id: 4\n", // follow twice
		`"wait_id":"order-42.1"`, `"status":"answered"`, `"actor":"ann"`, `"code":"already_decided"`, // answer twice
		`"status":"completed"}`, `{"status":"completed","output":{"said":"approve"}}`, `"next":3`, `"records":7`, `"runs":[{"run_id":"order-42"`,
		`{"runs":1,"statuses":{"running":0,"waiting":0,"paused":0,"completed":1,`, `"started":1,"completed":1,"failed":0`, `"people_seconds":`,
		`"runs":0,"known":1`, // export and import
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("the commands do not say %s, or not in that place:\n%s", want, said)
		}
		rest = after
	}
}

// asked waits until the run of the README waits for its answer, or has done so.
func asked(t *testing.T, e *engine.Engine) {
	t.Helper()
	for rec, err := range e.Watch(t.Context(), "order-42", 1) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == bide.KindWaitOpened {
			return
		}
	}
}

// No code of a problem is missing in the README.
func TestTheReadmeListsEveryCode(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../errors.go")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("api/problem.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`Code\w+\s+(?:bide\.)?Code\s+= "(\w+)"`).FindAllStringSubmatch(string(source)+string(own), -1)
	if len(codes) < 30 {
		t.Fatalf("found %d codes", len(codes))
	}
	for _, m := range codes {
		if !strings.Contains(string(page), "`"+m[1]+"`") {
			t.Errorf("README.md does not list %s", m[1])
		}
	}
}
