package search

import (
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// Orders are the orders of a listing of runs: by creation, by the last change, the newest first or with _asc the
// oldest, and by status, or the other way round. The first is the default.
func Orders() []string {
	return []string{"created", "created_asc", "updated", "updated_asc", "status", "status_desc"}
}

// statuses are all, in the order in which listings by status have them. Within one, runs are by creation, newest first.
var statuses = []bide.Status{bide.StatusRunning, bide.StatusWaiting, bide.StatusPaused, bide.StatusCompleted, bide.StatusFailed, bide.StatusCancelled}

// List reads a page of a listing in an order, from where cursor, that of the page before, says. It calls page with one listing of
// a store after the other, until it has enough: page gives the cursor that goes on in its listing, empty at its
// end, and whether no more is wanted. List returns the cursor that goes on, empty at the end. It fails with
// bide.ErrInvalidInput for an order or a cursor that is none, and as page does.
func (q *Query) List(order, cursor string, page func(bide.RunQuery) (next string, enough bool, err error)) (next string, err error) {
	if order == "" {
		order = Orders()[0]
	}
	if !slices.Contains(Orders(), order) {
		return "", bide.Errorf(bide.CodeInvalidInput, "%q is not an order of runs; take one of %s", order, strings.Join(Orders(), ", "))
	}
	if strings.HasPrefix(order, "status") {
		return q.listByStatus(order == "status_desc", cursor, page)
	}
	rq := q.RunQuery()
	rq.Order, rq.Cursor = bide.RunOrder(order), cursor
	if order == Orders()[0] {
		rq.Order = bide.OrderCreated
	}
	next, _, err = page(rq)
	return next, err
}

// listByStatus is List for one status after the other; a cursor names the one at which it is.
func (q *Query) listByStatus(reverse bool, cursor string, page func(bide.RunQuery) (string, bool, error)) (string, error) {
	var order []bide.Status
	for _, status := range statuses {
		if len(q.Statuses) == 0 || slices.Contains(q.Statuses, status) {
			order = append(order, status)
		}
	}
	if reverse {
		slices.Reverse(order)
	}
	status, within, found := strings.Cut(cursor, "/")
	i := slices.Index(order, bide.Status(status))
	if cursor != "" && (!found || i < 0) {
		return "", bide.Errorf(bide.CodeInvalidInput, "%q is not a cursor of this listing; pass what the page before gave, or none", cursor)
	}
	for i = max(i, 0); i < len(order); i, within = i+1, "" {
		rq := q.RunQuery()
		rq.Status, rq.Cursor = order[i], within
		next, enough, err := page(rq)
		switch {
		case err != nil:
			return "", err
		case next != "":
			return string(order[i]) + "/" + next, nil
		case enough && i+1 < len(order):
			return string(order[i+1]) + "/", nil
		case enough:
			return "", nil
		}
	}
	return "", nil
}
