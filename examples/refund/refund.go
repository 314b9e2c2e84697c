package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/bide-dev/bide"
)

// request is the input of a refund.
type request struct {
	Order  string `json:"order"`
	Amount int    `json:"amount"`
}

// limit is the amount from which a person decides.
const limit = 100

// refund asks a person above the limit, pays, and writes a mail.
var refund = bide.Workflow{
	ID: "refund", Version: "1", Entry: "check",
	Nodes: bide.Nodes{"check": check, "decide": decide, "pay": pay, "mail": mail},
	Exits: map[string][]string{
		"check": {"decide", "pay"}, "decide": {"pay", bide.End}, "pay": {"mail"}, "mail": {bide.End},
	},
}

func check(r *bide.Run) (bide.StepPlan, error) {
	in, err := bide.Input[request](r)
	if err != nil || in.Amount <= limit {
		return bide.Go("pay"), err
	}
	question := fmt.Sprintf("Refund %d EUR for %s?", in.Amount, in.Order)
	return bide.Do(bide.Ask(question, &bide.AskOptions{Choices: []string{"approve", "reject"}}).As("decision")).Then("decide"), nil
}

func decide(r *bide.Run) (bide.StepPlan, error) {
	decision, err := bide.Get[bide.Answer](r.Vars, "decision")
	if err != nil || decision.Choice == "approve" {
		return bide.Go("pay"), err
	}
	return bide.Complete("rejected by " + decision.By), nil
}

// pay may run again after a crash: its handler knows by the key what it did before.
func pay(r *bide.Run) (bide.StepPlan, error) {
	in, err := bide.Input[request](r)
	return bide.Do(bide.Call("pay", in).As("receipt")).Then("mail"), err
}

// mail cannot be taken back, and the mail server knows no keys: at most once.
func mail(r *bide.Run) (bide.StepPlan, error) {
	receipt, err := bide.Get[string](r.Vars, "receipt")
	return bide.Do(bide.Call("mail", "Your money is on its way: "+receipt).Once()).ThenCompleteWith("receipt"), err
}

// outside is what the handlers change: two files that the database knows nothing of.
type outside struct{ payments, mails string }

// pay adds a line to the file of payments, unless one with its key is there.
func (o outside) pay(ctx context.Context, in request) (string, error) {
	key := bide.InvocationFrom(ctx).Key
	paid, err := os.ReadFile(o.payments)
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	if !strings.Contains(string(paid), "key="+key+"\n") {
		err = appendLine(o.payments, fmt.Sprintf("paid %d EUR for %s key=%s", in.Amount, in.Order, key))
	} else {
		err = nil
	}
	return fmt.Sprintf("%d EUR, receipt %s", in.Amount, key), err
}

// mail adds a line to the file of mails.
func (o outside) mail(ctx context.Context, text string) (bool, error) {
	return true, appendLine(o.mails, fmt.Sprintf("%s key=%s", text, bide.InvocationFrom(ctx).Key))
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, err = w.WriteString(line + "\n")
	for _, step := range []func() error{w.Flush, f.Sync, f.Close} {
		if serr := step(); err == nil {
			err = serr
		}
	}
	return err
}
