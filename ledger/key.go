package ledger

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
)

// GenerateKey makes an Ed25519 key for checkpoints. Both halves are one line of text; the name, without
// spaces and plus signs, stands in every signature. The private half begins with PRIVATE+KEY+ and
// belongs into a file that only the signer can read.
func GenerateKey(name string) (private, public string, err error) {
	if name == "" || strings.ContainsAny(name, "+ \t\r\n") {
		return "", "", bide.Errorf(bide.CodeInvalidInput, "%q is not a name for a key: it is one word without a plus sign", name)
	}
	return note.GenerateKey(rand.Reader, name)
}

// Signers reads private keys, one a line; empty lines and those that begin with # are skipped. Each
// checkpoint is signed with all of them: to rotate a key, put the new one beside the old one, give the new
// public half to those who verify, and then take the old one away.
func Signers(text string) (out []note.Signer, err error) {
	for n, line := range keyLines(text) {
		s, err := note.NewSigner(line)
		if err != nil {
			return nil, bide.Errorf(bide.CodeInvalidInput, "line %d is not a private key: make one with GenerateKey", n)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, bide.Errorf(bide.CodeInvalidInput, "there is no private key: make one with GenerateKey")
	}
	return out, nil
}

// Verifiers reads public keys, one a line, as Signers does private ones. A checkpoint counts when one of them has signed it.
func Verifiers(text string) (out []note.Verifier, err error) {
	for n, line := range keyLines(text) {
		v, err := note.NewVerifier(line)
		if err != nil {
			hint := ""
			if strings.HasPrefix(line, "PRIVATE+KEY+") {
				hint = "; it is a private one, which nobody should be given"
			}
			return nil, bide.Errorf(bide.CodeInvalidInput, "line %d is not a public key%s", n, hint)
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, bide.Errorf(bide.CodeInvalidInput, "there is no public key")
	}
	return out, nil
}

// own verifies what its signer has signed, by signing it again: a key gives a text one signature (RFC 8032).
type own struct{ note.Signer }

// Verify implements note.Verifier.
func (o own) Verify(msg, sig []byte) bool {
	again, err := o.Sign(msg)
	return err == nil && subtle.ConstantTimeCompare(again, sig) == 1
}

// keyLines yields the lines that hold keys, with their numbers from 1.
func keyLines(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(text) {
			n++
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !yield(n, line) {
				return
			}
		}
	}
}

// KeyName says which key a verifier is of, as people see it: name and number.
func KeyName(k interface {
	Name() string
	KeyHash() uint32
}) string {
	return fmt.Sprintf("%s+%08x", k.Name(), k.KeyHash())
}
