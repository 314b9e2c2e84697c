package api

import "github.com/bide-dev/bide"

// AnswerIsBody reports whether the answer to a wait of a kind is the body of the request; for other kinds, that
// is an object with the member "answer".
func AnswerIsBody(k bide.WaitKind) bool {
	switch k {
	case bide.WaitToolApproval, bide.WaitBudget, bide.WaitAttention, bide.WaitJob:
		return true
	}
	return false
}
