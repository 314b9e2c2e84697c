// Command refund is a first look at bide: a refund above a limit asks for a
// decision. Answer it at once, or kill the process at any time and start it
// again: it goes on where it was, from bide.db in the working directory.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/sqlite"
)

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", ".", "folder of bide.db, payments.txt and mails.txt")
	flag.StringVar(&o.order, "order", "order-42", "order to refund; each has one run")
	flag.IntVar(&o.amount, "amount", 120, fmt.Sprintf("EUR to refund; above %d a person decides", limit))
	flag.IntVar(&o.crashAt, "crash-at", 0, "kill this process (SIGKILL) right after its `N`-th commit")
	flag.IntVar(&o.crashBefore, "crash-before", 0, "kill this process right before its `N`-th commit")
	flag.Parse()
	err := run(context.Background(), o, os.Stdin, os.Stdout)
	switch {
	case errors.Is(err, errWaiting):
		os.Exit(6)
	case err != nil:
		fmt.Fprintln(os.Stderr, "refund:", err)
		os.Exit(1)
	}
}

type options struct {
	dir, order           string
	amount               int
	crashAt, crashBefore int
}

// errWaiting means that a question is still open.
var errWaiting = errors.New("waiting for an answer")

func run(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	db, err := sqlite.Open(ctx, filepath.Join(o.dir, "bide.db"), nil)
	if err != nil {
		return err
	}
	defer db.Close()
	rt, err := bide.New(&crashing{Store: db, kill: bidetest.Kill{Before: o.crashBefore, After: o.crashAt}}, nil)
	if err != nil {
		return err
	}
	world := outside{payments: filepath.Join(o.dir, "payments.txt"), mails: filepath.Join(o.dir, "mails.txt")}
	rt.Handle("pay", bide.Typed(world.pay))
	rt.Handle("mail", bide.Typed(world.mail))

	r, err := rt.Start(ctx, refund, request{Order: o.order, Amount: o.amount}, &bide.StartOptions{Key: o.order})
	if err != nil {
		return err
	}
	if r.Seq > 1 {
		fmt.Fprintf(out, "Going on with %s, at record %d, %s.\n", o.order, r.Seq, r.Status)
	}
	answers := bufio.NewScanner(in)
	for !r.Status.Final() {
		if r, err = rt.Tick(ctx, r.ID); err != nil {
			return err
		}
		if len(r.Waits) == 0 {
			continue
		}
		if r, err = ask(ctx, rt, r, answers, out); err != nil {
			return err
		}
	}
	return report(ctx, rt, r, out)
}

// ask puts the first open wait to the person at the terminal, until the answer fits.
func ask(ctx context.Context, rt *bide.Runtime, r *bide.Run, answers *bufio.Scanner, out io.Writer) (*bide.Run, error) {
	w := r.Waits[0]
	choices := w.Choices
	if w.Kind == bide.WaitAttention {
		choices = []string{bide.AttentionDone, bide.AttentionAgain, bide.AttentionFail}
	}
	for {
		fmt.Fprintf(out, "%s [%s] ", w.Message, strings.Join(choices, "/"))
		if !answers.Scan() {
			fmt.Fprintln(out, "\nThe question stays open. Start this program again to answer it.")
			return nil, errWaiting
		}
		var answer any = strings.TrimSpace(answers.Text())
		if w.Kind == bide.WaitAttention {
			answer = bide.Attention{Type: answer.(string), Message: "said at the terminal"}
		}
		next, err := rt.Resume(ctx, r.ID, w.ID, answer, bide.Command{Actor: actor()})
		if !errors.Is(err, bide.ErrInvalidAnswer) {
			return next, err
		}
		fmt.Fprintln(out, err)
	}
}

func actor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "somebody"
}
