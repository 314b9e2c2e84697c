package gateway_test

import (
	"testing"

	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/store/mem"
)

// A token that was made over the API lets its holder in, until it is revoked.
func TestATokenCountsUntilItIsRevoked(t *testing.T) {
	store := mem.New()
	guard := auth.New(store, nil)
	s := serverOver(t, store, &gateway.Options{Authenticate: guard.Protect})
	admin, _, err := guard.Tokens().Create(t.Context(), auth.TokenSpec{Name: "root", Roles: []auth.Role{auth.Administrator}}, "")
	if err != nil {
		t.Fatal(err)
	}
	spec := `{"name":"shop","roles":["viewer"],"namespace":"acme"}`
	made := s.ask(admin, "POST", "/v1/tokens", spec, "Idempotency-Key", "t1")
	if made.Status != 201 || made.field(t, "created_by") != "token:root" {
		t.Fatalf("create = %d %s", made.Status, made.Body)
	}
	shop := made.field(t, "token")
	if again := s.ask(admin, "POST", "/v1/tokens", spec, "Idempotency-Key", "t1"); again.Status != 409 {
		t.Errorf("the same key again = %d %s", again.Status, again.Body)
	}
	if got := s.ask(shop, "GET", "/v1/runs", ""); got.Status != 200 {
		t.Errorf("with the token = %d %s", got.Status, got.Body)
	}
	if got := s.ask(shop, "POST", "/v1/tokens", spec); got.Status != 403 {
		t.Errorf("a viewer makes a token = %d %s", got.Status, got.Body)
	}
	list := s.ask(admin, "GET", "/v1/tokens", "")
	if list.Status != 200 || list.field(t, "tokens.2") != "null" || list.field(t, "tokens.0.token") != "null" || list.field(t, "tokens.1.token") != "null" {
		t.Errorf("list = %d %s", list.Status, list.Body)
	}
	for range 2 {
		if got := s.ask(admin, "DELETE", "/v1/tokens/"+made.field(t, "token_id"), "", "Idempotency-Key", "t2"); got.Status != 200 || got.field(t, "revoked_by") != "token:root" {
			t.Errorf("revoke = %d %s", got.Status, got.Body)
		}
	}
	if got := s.ask(shop, "GET", "/v1/runs", ""); got.Status != 401 {
		t.Errorf("with the revoked token = %d %s", got.Status, got.Body)
	}
}

// An administrator who is limited to workflows has to do with no more than the tokens and webhooks of those.
func TestALimitedAdministratorSeesWhatItCouldMake(t *testing.T) {
	store := mem.New()
	guard := auth.New(store, nil)
	s := serverOver(t, store, &gateway.Options{Authenticate: guard.Protect})
	create := func(spec auth.TokenSpec) (string, string) {
		text, tok, err := guard.Tokens().Create(t.Context(), spec, "")
		if err != nil {
			t.Fatal(err)
		}
		return text, tok.ID
	}
	root, rootID := create(auth.TokenSpec{Name: "root", Roles: []auth.Role{auth.Administrator}})
	refunds, _ := create(auth.TokenSpec{Name: "refunds", Roles: []auth.Role{auth.Administrator}, Workflows: []string{"approval"}})
	hook := s.ask(root, "POST", "/v1/webhooks", `{"url":"https://example.com/x"}`).field(t, "subscription_id")
	if got := s.ask(refunds, "GET", "/v1/tokens", ""); got.field(t, "tokens.0.name") != "refunds" || got.field(t, "tokens.1") != "null" {
		t.Errorf("tokens = %s", got.Body)
	}
	if got := s.ask(refunds, "GET", "/v1/webhooks", ""); got.field(t, "webhooks") != "[]" {
		t.Errorf("webhooks = %s", got.Body)
	}
	for _, path := range []string{"/v1/tokens/" + rootID, "/v1/webhooks/" + hook} {
		if got := s.ask(refunds, "DELETE", path, ""); got.Status != 404 {
			t.Errorf("DELETE %s = %d %s", path, got.Status, got.Body)
		}
	}
	if got := s.ask(root, "GET", "/v1/tokens", ""); got.field(t, "tokens.1") == "null" {
		t.Errorf("tokens of root = %s", got.Body)
	}
}
