// Package storetest is the conformance suite of bide.Store, bide.Claims, bide.Documents
// and bide.Counter, for the stores of this module and for those of others:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) bide.Store { return mystore.New() })
//	}
//
// Run holds a store to the contract, RunDurable also to keeping what it
// acknowledged when it is closed and opened again, and Crash lets a whole
// runtime die at every commit in turn. The package must not know any store but through the port.
package storetest

import (
	"testing"

	"github.com/bide-dev/bide"
)

// Store is what the suite is for: a store that workers and whole installations can use.
type Store interface {
	bide.Store
	bide.Claims
	bide.Documents
	bide.Counter
}

// whole returns a store with its claims, documents and counts.
func whole(t *testing.T, s bide.Store) Store {
	t.Helper()
	full, ok := s.(Store)
	if !ok {
		s.Close()
		t.Fatalf("%T does not implement bide.Claims, bide.Documents and bide.Counter", s)
	}
	return full
}

// Run runs the suite. Each call of open gives a fresh, empty store, which
// implements bide.Claims, bide.Documents and bide.Counter too; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) bide.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Store)
	}{
		{"a commit is there when Commit returns", commitIsThere},
		{"a commit at the wrong position conflicts and changes nothing", conflictChangesNothing},
		{"the last commit sent again is accepted and changes nothing", sentAgain},
		{"an earlier commit sent again conflicts", earlierSentAgain},
		{"records keep every byte", recordsKeepEveryByte},
		{"a record of 5 MB fits", largeRecord},
		{"what the caller does with a commit afterwards does not matter", callerOwnsCommit},
		{"what the caller does with results does not matter", callerOwnsResults},
		{"of many commits that follow the same record one wins", oneWinner},
		{"many runs commit at once", manyRuns},
		{"a cancelled context ends a call", cancelledContext},

		{"a run continues as new ones, and what waits for it follows", runContinues},
		{"there is no run that was not committed", notFound},
		{"Load gives the last snapshot and the records after it", loadSnapshot},
		{"Load gives only what the caller does not have", loadHave},
		{"Load is consistent while the run goes on", loadConsistent},
		{"Records pages through a ledger", recordsPages},
		{"commands are kept per run", commandsPerRun},

		{"Runs gives every field", runsEveryField},
		{"Runs lists the newest first", runsOrder},
		{"Runs selects by status and workflow", runsSelect},
		{"Runs selects by session, parent and being set aside", runsSelectMore},
		{"Runs follows a run from status to status", runsFollow},
		{"Runs lists what is due, the earliest first", runsDue},
		{"Runs holds to the limit", runsLimit},
		{"Runs lists those that changed last", runsUpdated},
		{"Runs selects by every field, alone and together", runsSelectAll},
		{"Count counts what Runs lists", countsSelectAll},
		{"Count holds to the limit", countsLimit},
		{"Waits gives every field", waitsEveryField},
		{"Waits lists open waits, the oldest first", waitsOrder},
		{"Waits selects by kind and key", waitsSelect},
		{"Waits selects by several kinds, run and tree", waitsSelectMore},
		{"a cursor that is none is refused", invalidCursor},

		{"a message is for those who wait for its key, exactly or by a star", mailMatches},
		{"mail comes with every field, in the order of sending", mailEveryField},
		{"a message counts once in its mailbox, also after it was taken", mailIDs},
		{"Load gives at least a hundred messages that can be taken", mailHundreds},
		{"of many takers of a message one wins", mailOneTaker},
		{"a commit that takes what is not there changes nothing", mailRefused},
		{"a broadcast reaches every open wait once", mailCopies},
		{"a broadcast that is kept reaches later waits that ask for it", broadcastsKept},
		{"a broadcast that is kept reaches each wait once", broadcastsOnce},
		{"runs are told of mail", mailTells},
		{"a commit takes what it sends", tookWhatItSends},
		{"all mail of a run is listed", mailListed},

		{"a child is there with the commit that starts it", childIsThere},
		{"a child starts once", childStartsOnce},
		{"a child of many parents starts once", childManyParents},

		{"the feed follows the commits", feedFollows},
		{"Feed looks at a bounded number of records", feedBounded},
		{"all who read the feed while commits are made see the same", feedWhileCommitting},
		{"runs are deleted while others read the feed", feedWhileDeleting},
		{"what was deleted leaves the feed as it was otherwise", feedAfterDeletion},
		{"Feed selects a tree", feedOfTree},

		{"documents are kept as they are", documentsKept},
		{"a document is replaced and deleted at its revision only", documentRevisions},
		{"of writers of the same revision one wins", documentRace},
		{"Documents lists by id and prefix", documentsListed},
		{"what cannot be a document is refused", documentsRefused},

		{"what can proceed can be claimed", claimReasons},
		{"the oldest are claimed first, up to the limit", claimOrder},
		{"only runs of known workflows are claimed", claimWorkflows},
		{"a live owner keeps its runs, a dead one does not", claimOwners},
		{"a commit under a lost claim is refused and changes nothing", claimFences},
		{"a claim ends and goes on with the commits made under it", claimEnds},
		{"commands leave a claim alone unless they start the run again", claimCommands},
		{"what is released can be claimed at once", claimReleased},
		{"no mail is overlooked", claimMail},
		{"what is set aside is not claimed, and listed", claimAside},
		{"NextWake is the earliest timer after a time", claimNextWake},
		{"owners that claim at once never get the same run", claimRace},
		{"Owners lists who drives runs or lives", ownersListed},
		{"who is drained claims nothing", ownersDrained},
		{"a commit claims its run", claimWithCommit},
		{"a commit with a claim that does not follow is refused and changes nothing", claimWithCommitRefused},
		{"a claim with a commit lasts while its owner lives", claimWithCommitLasts},
		{"a commit that claims overlooks no mail", claimWithCommitMail},
		{"of owners whose commits claim at once one wins", claimWithCommitRace},
		{"a random program gives what a model gives", randomProgram},
		{"each message has one taker, and each fence one run, among many", crowd},

		{"a closed store says so", closed},
		{"Close lets commits under way end", closeWhileCommitting},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := whole(t, open(t))
			defer s.Close() // some tests have closed it
			test.run(t, s)
		})
	}
}

// RunDurable runs the suite for a store that keeps its runs in a directory:
// Run, what holds when it is closed and opened again, and CrashDurable.
func RunDurable(t *testing.T, open func(t *testing.T, dir string) bide.Store) {
	Run(t, func(t *testing.T) bide.Store { return open(t, t.TempDir()) })
	t.Run("everything is there after closing and opening", func(t *testing.T) { reopened(t, open) })
	t.Run("the feed, broadcasts, claims and documents are there after closing and opening", func(t *testing.T) { reopenedMore(t, open) })
	t.Run("what was acknowledged while the store closed is there", func(t *testing.T) { reopenedAfterClosing(t, open) })
	t.Run("crash", func(t *testing.T) { CrashDurable(t, open) })
}
