package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// last names the newest run that a person, a program or a schedule started; not those that runs of flows start.
const last = "@last"

// scheduleRun begins the ids of the runs that are schedules.
const scheduleRun = "schedule-"

// maxLooked is how many runs are looked at to find those that begin with a prefix.
const maxLooked = 100_000

// resolve returns the id of the run that a person means: by the whole id, the
// beginning of one that no other shares, or @last.
func resolve(ctx context.Context, b reader, ref string) (string, error) {
	switch {
	case ref == last:
		id, err := newest(ctx, b, "")
		if err == nil && id == "" {
			err = &problem{code: exitNotFound, what: "there is no last run: the store has none", next: "bide run FLOW"}
		}
		return id, err
	case ref == "":
		return "", usage("bide ls", "the id of a run is empty")
	case strings.HasPrefix(ref, "@"):
		return "", usage("bide ls", "%q is not known; @last is the newest run", ref)
	}
	run, err := b.Run(ctx, ref, 0)
	if err == nil {
		return run.ID, nil
	}
	if errors.Is(err, bide.ErrSealed) {
		return ref, nil // it is there; what can be done without its key is for the command to say
	}
	if !errors.Is(err, bide.ErrNotFound) && !errors.Is(err, bide.ErrInvalidInput) {
		return "", err
	}
	found, looked, cursor := []string(nil), 0, ""
	for {
		page, err := b.Runs(ctx, runsQuery{Internal: true, Limit: 1000, Cursor: cursor})
		if err != nil {
			return "", err
		}
		for _, r := range page.Runs {
			if strings.HasPrefix(r.ID, ref) {
				found = append(found, r.ID)
			}
		}
		looked += len(page.Runs)
		if cursor = page.Next; cursor == "" {
			return unique(ref, found)
		}
		if looked >= maxLooked {
			return "", usage("bide ls", "there are more than %d runs to compare %q with; give the whole id", maxLooked, ref)
		}
	}
}

// newest is the id of the newest run that a search finds and that no run of a flow started; empty when there is none.
func newest(ctx context.Context, b reader, search string) (string, error) {
	for q := (runsQuery{Search: search, Limit: 20}); ; q.Limit = 1000 {
		page, err := b.Runs(ctx, q)
		if err != nil {
			return "", err
		}
		for _, r := range page.Runs {
			if r.Parent == "" || strings.HasPrefix(r.Parent, scheduleRun) {
				return r.ID, nil
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return "", nil
		}
	}
}

// unique is the one id that was found.
func unique(ref string, found []string) (string, error) {
	switch len(found) {
	case 0:
		return "", &problem{code: exitNotFound, what: fmt.Sprintf("there is no run whose id begins with %q", ref), next: "bide ls"}
	case 1:
		return found[0], nil
	}
	shown := found[:min(len(found), 5)]
	more := ""
	if len(found) > len(shown) {
		more = fmt.Sprintf("\nand %d more", len(found)-len(shown))
	}
	return "", &problem{code: exitUsage, what: fmt.Sprintf("%q begins the ids of %d runs; give more of it", ref, len(found)),
		why: strings.Join(shown, "\n") + more}
}

// closedWait finds a wait in the ledger of its run. One that was never there is blank: the kernel says so.
func closedWait(ctx context.Context, b reader, run, id string) (*bide.Wait, error) {
	for rec, err := range b.Records(ctx, run, 1, false) {
		if err != nil {
			return nil, err
		}
		if rec.Kind != bide.KindWaitOpened {
			continue
		}
		data, err := rec.Decode()
		if err != nil {
			return nil, err
		}
		if w, ok := data.(*bide.Wait); ok && w.ID == id {
			return w, nil
		}
	}
	return &bide.Wait{ID: id}, nil
}

// resolveWait returns the wait that a person means: by its id, whose run may be shortened, or as the only one that a person can
// answer in a run or in what it started. One that is closed is as it was opened, so that the same answer is the same again.
func resolveWait(ctx context.Context, b reader, ref string) (*bide.Wait, error) {
	runRef, number, isWait := cutWait(ref)
	id, err := resolve(ctx, b, runRef)
	if err != nil {
		return nil, err
	}
	if isWait {
		run, err := b.Run(ctx, id, 0)
		if err != nil {
			return nil, err
		}
		if w := run.Wait(id + "." + number); w != nil {
			return w, nil
		}
		return closedWait(ctx, b, id, id+"."+number)
	}
	waits, err := answerable(ctx, b, id)
	if err != nil {
		return nil, err
	}
	switch len(waits) {
	case 0:
		return nil, &problem{code: exitConflict, what: fmt.Sprintf("run %s waits for no answer", id), next: "bide why " + id}
	case 1:
		return &waits[0], nil
	}
	var open []string
	for _, w := range waits {
		open = append(open, w.ID+"  "+oneLine(w.Message))
	}
	return nil, &problem{code: exitUsage, what: fmt.Sprintf("run %s waits for %d answers; name the wait", id, len(waits)), why: strings.Join(open, "\n")}
}

// cutWait splits a wait's id at its dot. Ids of runs have none.
func cutWait(ref string) (run, number string, ok bool) {
	if i := strings.LastIndexByte(ref, '.'); i > 0 {
		return ref[:i], ref[i+1:], true
	}
	return ref, "", false
}

// answered are the kinds of waits that an answer resolves, of a person or of a program on their behalf.
func answered() []bide.WaitKind {
	return []bide.WaitKind{bide.WaitQuestion, bide.WaitForm, bide.WaitToolApproval, bide.WaitBudget, bide.WaitAttention, bide.WaitJob, bide.WaitCustom}
}

func answers(k bide.WaitKind) bool { return slices.Contains(answered(), k) }

// maxTree bounds how many runs of a tree are looked at for waits.
const maxTree = 100

// answerable lists the waits of a run and its descendants that an answer resolves.
func answerable(ctx context.Context, b reader, id string) (waits []bide.Wait, err error) {
	queue := []string{id}
	for looked := 0; looked < len(queue) && looked < maxTree; looked++ {
		run, err := b.Run(ctx, queue[looked], 0)
		if errors.Is(err, bide.ErrNotFound) {
			continue // a child that is about to start
		}
		if err != nil {
			return nil, err
		}
		for _, w := range run.Waits {
			if answers(w.Kind) {
				waits = append(waits, w)
			}
			if child, ok := childOf(&w); ok {
				queue = append(queue, child)
			}
		}
	}
	return waits, nil
}

// childOf is the run that a wait waits for.
func childOf(w *bide.Wait) (id string, ok bool) {
	if w.Kind != bide.WaitChild {
		return "", false
	}
	return strings.CutPrefix(w.Key, "run:")
}
