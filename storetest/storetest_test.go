package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/storetest"
)

// faultEnv tells the test binary to run the suite on a store with a fault.
const faultEnv = "BIDE_STORETEST_FAULT"

// faults are stores that break the contract in one way, and a test of the suite that must notice.
var faults = map[string]struct {
	store    func(storetest.Store) storetest.Store
	noticing string
}{
	"accepts what conflicts": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, commit: func(ctx context.Context, c *bide.Commit) error {
				err := s.Commit(ctx, c)
				if errors.Is(err, bide.ErrConflict) {
					return nil
				}
				return err
			}}
		}, "TestSuite/a_commit_at_the_wrong_position_conflicts",
	},
	"refuses what is sent again": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, commit: func(ctx context.Context, c *bide.Commit) error {
				if at, err := s.Load(ctx, c.RunID, bide.Position{}); err == nil && at.Position == c.Info.Position() {
					return bide.ErrConflict
				}
				return s.Commit(ctx, c)
			}}
		}, "TestSuite/the_last_commit_sent_again",
	},
	"leaves waits open":   {altered(func(c *bide.Commit) { c.Closed = nil }), "TestSuite/Waits_lists_open_waits"},
	"forgets commands":    {altered(func(c *bide.Commit) { c.Command = nil }), "TestCrash/orders/write_"},
	"starts no children":  {altered(func(c *bide.Commit) { c.Starts = nil }), "TestSuite/a_child_is_there"},
	"minds no claim":      {altered(func(c *bide.Commit) { c.Fence = 0 }), "TestSuite/a_commit_under_a_lost_claim"},
	"leaves messages":     {altered(func(c *bide.Commit) { c.Took = nil }), "TestSuite/of_many_takers_of_a_message"},
	"has seen all mail":   {altered(func(c *bide.Commit) { c.MailSeen = 1 << 40 }), "TestSuite/no_mail_is_overlooked"},
	"keeps mail for ever": {altered(func(c *bide.Commit) { c.MailSeen = 0 }), "TestSuite/a_random_program"},
	"keeps no broadcast":  {altered(withoutCopies), "TestSuite/a_broadcast_reaches"},
	"forgets broadcasts":  {altered(withoutUntil), "TestSuite/a_broadcast_that_is_kept_reaches_later"},
	"makes no claim":      {altered(func(c *bide.Commit) { c.Owner = "" }), "TestSuite/a_commit_claims_its_run"},
	"gives every claim": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, commit: func(ctx context.Context, c *bide.Commit) error {
				d := *c
				if at, err := s.Load(ctx, c.RunID, bide.Position{}); err == nil && c.Owner != "" {
					d.Claimed = at.Fence + 1
				}
				return s.Commit(ctx, &d)
			}}
		}, "TestSuite/a_commit_with_a_claim_that_does_not_follow",
	},
	"keeps what is taken at once": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, commit: func(ctx context.Context, c *bide.Commit) error {
				d := *c
				d.Took = slices.DeleteFunc(slices.Clone(c.Took), func(id string) bool {
					return slices.ContainsFunc(c.Send, func(m bide.Message) bool { return m.ID == id })
				})
				return s.Commit(ctx, &d)
			}}
		}, "TestSuite/a_commit_takes_what_it_sends",
	},
	"numbers the feed anew": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, feed: func(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
				all, err := s.Feed(ctx, bide.FeedQuery{Limit: 1000, Root: q.Root})
				if err != nil {
					return nil, err
				}
				n := int64(len(all.Records))
				if q.After == bide.FeedEnd {
					return &bide.FeedPage{Next: n}, nil
				}
				page := &bide.FeedPage{Next: min(q.After+int64(bide.PageLimit(q.Limit)), max(n, q.After))}
				for i := q.After; i < page.Next; i++ {
					page.Records = append(page.Records, bide.FeedRecord{Pos: i + 1, RunID: all.Records[i].RunID, Body: all.Records[i].Body})
				}
				page.More = page.Next < n
				return page, nil
			}}
		}, "TestSuite/what_was_deleted_leaves_the_feed",
	},
	"feeds every tree": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, feed: func(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
				q.Root = ""
				return s.Feed(ctx, q)
			}}
		}, "TestSuite/Feed_selects_a_tree",
	},
	"overwrites documents": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, put: func(ctx context.Context, d bide.Document) (int64, error) {
				rev, err := s.PutDocument(ctx, d)
				if was, found := s.Document(ctx, d.Kind, d.ID); errors.Is(err, bide.ErrConflict) && found == nil {
					d.Rev = was.Rev
					return s.PutDocument(ctx, d)
				}
				return rev, err
			}}
		}, "TestSuite/a_document_is_replaced",
	},
	"starts a worker twice": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, claim: func(ctx context.Context, q bide.ClaimQuery) ([]bide.Claim, error) {
				q.Sole = true
				return s.Claim(ctx, q)
			}}
		}, "TestSuite/a_live_owner_keeps_its_runs",
	},
	"takes every release for quiet": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, release: func(ctx context.Context, owner string, runs []string, _ bool) error {
				return s.Release(ctx, owner, runs, true)
			}}
		}, "TestSuite/no_mail_is_overlooked",
	},
	"acknowledges what it drops": {
		func(s storetest.Store) storetest.Store {
			n := 0
			return changed{Store: s, commit: func(ctx context.Context, c *bide.Commit) error {
				if n++; n == 6 {
					return nil
				}
				return s.Commit(ctx, c)
			}}
		}, "TestCrash/",
	},
	"starts every page anew": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, runs: func(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
				if _, err := bide.ParseCursor(q.Cursor); err != nil {
					return nil, err
				}
				next := q.Cursor == ""
				q.Cursor = ""
				page, err := s.Runs(ctx, q)
				if err == nil && !next {
					page.Next = ""
				}
				return page, err
			}}
		}, "TestSuite/Runs_lists_the_newest_first",
	},
	"loads a snapshot for those who have more": {
		func(s storetest.Store) storetest.Store {
			return changed{Store: s, load: func(ctx context.Context, id string, _ bide.Position) (*bide.Stored, error) {
				return s.Load(ctx, id, bide.Position{})
			}}
		}, "TestSuite/Load_gives_only_what_the_caller_does_not_have",
	},
}

func withoutCopies(c *bide.Commit) {
	c.Send = slices.DeleteFunc(slices.Clone(c.Send), func(m bide.Message) bool { return m.Copies })
}

func withoutUntil(c *bide.Commit) {
	c.Send = slices.Clone(c.Send)
	for i := range c.Send {
		c.Send[i].Until = time.Time{}
	}
}

// altered gives faults that only change commits.
func altered(change func(*bide.Commit)) func(storetest.Store) storetest.Store {
	return func(s storetest.Store) storetest.Store {
		return changed{Store: s, commit: func(ctx context.Context, c *bide.Commit) error {
			d := *c
			change(&d)
			return s.Commit(ctx, &d)
		}}
	}
}

// changed is a store of which some methods do something else.
type changed struct {
	storetest.Store
	commit  func(context.Context, *bide.Commit) error
	runs    func(context.Context, bide.RunQuery) (*bide.RunPage, error)
	load    func(context.Context, string, bide.Position) (*bide.Stored, error)
	claim   func(context.Context, bide.ClaimQuery) ([]bide.Claim, error)
	release func(ctx context.Context, owner string, runs []string, quiet bool) error
	feed    func(context.Context, bide.FeedQuery) (*bide.FeedPage, error)
	put     func(context.Context, bide.Document) (int64, error)
}

func (c changed) Commit(ctx context.Context, x *bide.Commit) error {
	if c.commit == nil {
		return c.Store.Commit(ctx, x)
	}
	return c.commit(ctx, x)
}

func (c changed) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	if c.runs == nil {
		return c.Store.Runs(ctx, q)
	}
	return c.runs(ctx, q)
}

func (c changed) Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
	if c.feed == nil {
		return c.Store.Feed(ctx, q)
	}
	return c.feed(ctx, q)
}

func (c changed) PutDocument(ctx context.Context, d bide.Document) (int64, error) {
	if c.put == nil {
		return c.Store.PutDocument(ctx, d)
	}
	return c.put(ctx, d)
}

func (c changed) Load(ctx context.Context, id string, have bide.Position) (*bide.Stored, error) {
	if c.load == nil {
		return c.Store.Load(ctx, id, have)
	}
	return c.load(ctx, id, have)
}

func (c changed) Claim(ctx context.Context, q bide.ClaimQuery) ([]bide.Claim, error) {
	if c.claim == nil {
		return c.Store.Claim(ctx, q)
	}
	return c.claim(ctx, q)
}

func (c changed) Release(ctx context.Context, owner string, runs []string, quiet bool) error {
	if c.release == nil {
		return c.Store.Release(ctx, owner, runs, quiet)
	}
	return c.release(ctx, owner, runs, quiet)
}

// TestSuite and TestCrash are run by TestFaultsAreNoticed in a process of their own.
func TestSuite(t *testing.T) { storetest.Run(t, faulty(t)) }

func TestCrash(t *testing.T) { storetest.Crash(t, faulty(t)) }

func faulty(t *testing.T) func(*testing.T) bide.Store {
	f, ok := faults[os.Getenv(faultEnv)]
	if !ok {
		t.Skip("run by TestFaultsAreNoticed")
	}
	return func(*testing.T) bide.Store { return f.store(mem.New()) }
}

func TestFaultsAreNoticed(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			run := "^TestCrash$"
			if _, test, ok := strings.Cut(fault.noticing, "TestSuite/"); ok {
				run = "^TestSuite$/^" + test
			}
			cmd := exec.Command(os.Args[0], "-test.run="+run, "-test.timeout=5m")
			cmd.Env = append(os.Environ(), faultEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: "+fault.noticing) {
				t.Errorf("the suite ended with %v, want a failure of %s:\n%s", err, fault.noticing, out)
			}
		})
	}
}
