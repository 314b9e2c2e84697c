package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/tool"
)

// skew is how far apart clocks may be: less than claims last.
const skew = 5 * time.Second

// server looks at the server of the configuration.
func (x *examiner) server() {
	server := x.cfg.get("server")
	b, err := x.a.remote(x.cmd)
	if err != nil {
		x.add("server", verdictBad, "", "%s", explain(err).Error())
		return
	}
	u, err := url.Parse(server)
	if err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		x.add("server", verdictBad, "use https://", "%s is not https: the token travels in the clear", server)
	}
	ctx, stop := context.WithTimeout(x.cmd.Context(), patience)
	defer stop()
	if _, err := b.c.Ready(ctx); err != nil {
		x.add("server", verdictBad, "bide doctor, on the server", "%s is not ready: %s", server, explain(err).Error())
		return
	}
	if at, err := x.health(server); err == nil {
		x.clock("the server's clock", at, 2*time.Second+skew) // the header has whole seconds
	}
	if x.a.getenv(tokenVariable) == "" {
		x.add("token", verdictNote, "BIDE_TOKEN=… bide doctor", "%s is not set; only bide dev lets in without", tokenVariable)
	}
	x.runs(b, server)
	x.webhooks(b)
}

// clock compares another clock with this one.
func (x *examiner) clock(whose string, at time.Time, tolerance time.Duration) {
	switch apart := time.Since(at); {
	case apart > tolerance || apart < -tolerance:
		x.add("clock", verdictBad, "let both follow the time of the network (NTP)", "%s is %s off this one's: %s", whose, apart.Abs().Round(time.Second), at.UTC().Format(time.RFC3339))
	default:
		x.add("clock", verdictOK, "", "%s agrees with this one's", whose)
	}
}

// store looks at the store of the configuration, if it is there.
func (x *examiner) store() {
	store := x.cfg.get("store")
	if path, ok := strings.CutPrefix(store, "sqlite:"); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			x.add("store", verdictNote, "bide run FLOW", "%s is not there yet; the first run makes it", store)
			return
		}
	}
	b, err := x.a.open(x.cmd)
	if err != nil {
		p := explain(err)
		next := p.next
		if next == "bide doctor" {
			next = storeNext(p, !strings.HasPrefix(store, "postgres"))
		}
		x.add("store", verdictBad, next, "%s", cmp.Or(p.why, p.what))
		return
	}
	if only := x.a.local.only; only != nil {
		x.add("store", verdictBad, storeNext(explain(only), true), "%s", explain(only).Error())
	}
	x.runs(b, shownStore(store))
	x.newest(b)
	x.tokens(b)
	x.webhooks(b)
	x.out = append(x.out, x.a.examineEncryption(x.cmd.Context(), x.a.local)...)
}

// storeNext is what helps with a store that cannot be opened; local tells that it is files of this machine.
func storeNext(p *problem, local bool) string {
	switch {
	case errors.Is(p, bide.ErrStoreLocked):
		return "end who has it open, or use a store for several processes"
	case errors.Is(p, bide.ErrStoreTooNew):
		return "use the version of bide that wrote it, or a newer one"
	case errors.Is(p, bide.ErrStoreForeign):
		return "name another store with --store: this is none of bide"
	case errors.Is(p, bide.ErrStoreFull):
		return "make room on the disk"
	case errors.Is(p, bide.ErrStoreReadOnly):
		return "give the user of bide the right to write"
	case errors.Is(p, bide.ErrCorrupt):
		return "put a backup in place; docs/deployment.md says how"
	case local:
		return "look at the path, who may use it, and the disk"
	}
	return "see whether it is reachable from here: address, user, password, and whether it is up"
}

// runs looks for runs that nobody sees to.
func (x *examiner) runs(b backend, name string) {
	workers, err := b.Workers(x.cmd.Context())
	if err != nil {
		x.add("workers", verdictBad, "", "%s", explain(err).Error())
		return
	}
	for _, look := range []struct{ search, check, fine, next, bad string }{
		{"", "store", name + " opens", "", ""},
		{"is:set-aside", "set aside", "no run is set aside", "bide ls --internal is:set-aside", "runs are set aside by workers"},
		{"status:running", "running", "no run is left alone", "bide work", "runs could go on and do not: no worker with their flow seems to be at work"},
		{"status:waiting is:due", "due", "no timer is overdue", "bide work", "runs have a timer overdue: no worker with their flow seems to be at work"},
	} {
		page, err := b.Runs(x.cmd.Context(), runsQuery{Search: look.search, Internal: true, Limit: 1000})
		if err != nil {
			x.add(look.check, verdictBad, "", "%s", explain(err).Error())
			return
		}
		n := len(page.Runs)
		switch look.check {
		case "store":
			n = 0
		case "running", "due":
			n = len(leftAlone(page.Runs, workers, x.now))
		}
		if n == 0 {
			x.add(look.check, verdictOK, "", "%s", look.fine)
		} else {
			x.add(look.check, verdictBad, look.next, "%d %s", n, look.bad)
		}
	}
}

// newest looks whether a run is of the future: then the clock of who wrote it, or this one, is wrong.
func (x *examiner) newest(b reader) {
	page, err := b.Runs(x.cmd.Context(), runsQuery{Internal: true, Limit: 100})
	if err != nil {
		x.add("clock", verdictBad, "", "%s", explain(err).Error())
		return
	}
	for _, r := range page.Runs {
		if ahead := r.UpdatedAt.Sub(x.now); ahead > skew {
			x.add("clock", verdictBad, "let all machines follow the time of the network (NTP)", "run %s was changed %s in the future: the clock here or where that was done is wrong", r.ID, ahead.Round(time.Second))
			return
		}
	}
	x.add("clock", verdictOK, "", "nothing in the store is of the future")
}

// tokens looks whether somebody can be let in, and whose token can do more than it should.
func (x *examiner) tokens(b tokenKeeper) {
	all, err := b.Tokens(x.cmd.Context(), "")
	if err != nil {
		x.add("tokens", verdictBad, "", "%s", explain(err).Error())
		return
	}
	valid := 0
	for i := range all {
		t := &all[i]
		if tokenStatus(t, x.now) != "valid" {
			continue
		}
		valid++
		if t.ExpiresAt.IsZero() && slices.Contains(t.Roles, api.RoleAdmin) {
			x.add("tokens", verdictNote, "bide token create NAME --role admin --expires 2160h, and bide token revoke "+t.ID, "token %s (%s) may do everything and never ends", t.ID, t.Name)
		}
		if idle := x.now.Sub(latest(t.LastUsedAt, t.CreatedAt)); idle > 90*24*time.Hour {
			x.add("tokens", verdictNote, "bide token revoke "+t.ID, "token %s (%s) was not used for %s", t.ID, t.Name, span(idle))
		}
	}
	if valid == 0 && x.cfg.get("login") == "" {
		x.add("tokens", verdictNote, "bide token create NAME --role ROLE", "there are none that count: bide serve would let nobody in")
		return
	}
	x.add("tokens", verdictOK, "", "%d count", valid)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// webhooks looks whether messages can be sent.
func (x *examiner) webhooks(b webhookKeeper) {
	all, err := b.Webhooks(x.cmd.Context())
	if errors.Is(err, bide.ErrForbidden) {
		x.add("webhooks", verdictNote, "use a token with the role admin", "these credentials may not see the webhooks")
		return
	}
	if err != nil {
		x.add("webhooks", verdictBad, "", "%s", explain(err).Error())
		return
	}
	for _, s := range all {
		check := "webhook " + s.ID
		switch err := x.target(&s); {
		case s.Disabled != "":
			x.add(check, verdictBad, "bide webhook rotate "+s.ID+", or bide webhook rm "+s.ID, "nothing is sent to %s any more: %s", hostOf(s.URL), s.Disabled)
		case err != nil:
			x.add(check, verdictBad, "set webhooks.private if it is meant, or bide webhook rm "+s.ID, "%v", err)
		default:
			x.add(check, verdictOK, "", "%s is told of %s", hostOf(s.URL), strings.Join(s.Types, ", "))
		}
	}
}

// target fails when the policy of this configuration forbids to send to a webhook. A server has a policy of its own.
func (x *examiner) target(s *api.Subscription) error {
	if x.cfg.get("server") != "" || x.cfg.get("webhooks.private") == "true" {
		return nil
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "https" {
		return fmt.Errorf("%s is not https, and webhooks.private is false", hostOf(s.URL))
	}
	ctx, stop := context.WithTimeout(x.cmd.Context(), patience)
	defer stop()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return fmt.Errorf("the name %s is not found: %w", u.Hostname(), err)
	}
	for _, at := range found {
		if !tool.PublicAddr(at) {
			return fmt.Errorf("%s is at %s, which is not public, and webhooks.private is false", u.Hostname(), at)
		}
	}
	return nil
}

// hostOf is that of a URL, the rest of which may be secret.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "a webhook"
	}
	return u.Host
}
