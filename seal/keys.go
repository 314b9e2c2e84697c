package seal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// Keys is who keeps the wrapping keys: a [Keyring], or a service that never gives
// them away. Its methods may be called from many goroutines.
type Keys interface {
	// Current is the id of the key that wraps what is new.
	Current(ctx context.Context) (id string, err error)
	// Wrap encrypts a key of 32 bytes with the wrapping key of an id, bound to a context.
	Wrap(ctx context.Context, id string, key, binding []byte) ([]byte, error)
	// Unwrap is the inverse of Wrap. It fails with bide.ErrSealed, naming the id, when it
	// lacks the wrapping key, or what is wrapped was made with another one or for another context.
	Unwrap(ctx context.Context, id string, wrapped, binding []byte) ([]byte, error)
}

// Keyring holds wrapping keys in memory.
type Keyring struct {
	ids  []string // the first is the current one
	keys map[string]cipher.AEAD

	nonces supply
}

var _ Keys = (*Keyring)(nil)

var keyID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// NewKey makes a wrapping key and returns it as a line of a keyring. It fails with
// bide.ErrInvalidInput when the id cannot be used: letters, digits and ._-, at most 64.
func NewKey(id string) (line string, err error) {
	if !keyID.MatchString(id) {
		return "", bide.Errorf(bide.CodeInvalidInput, "%q is not an id of a key: letters, digits and ._-, at most 64", id)
	}
	return id + " " + base64.StdEncoding.EncodeToString(random(keyBytes)), nil
}

// ParseKeyring reads a keyring: a line per key with its id and, after a space, its 32 bytes
// in base64. The first wraps what is new; the others are for what they wrapped before. Empty
// lines and those that begin with # do not count. It fails with bide.ErrInvalidInput, without a word of a key.
func ParseKeyring(text []byte) (*Keyring, error) {
	k := &Keyring{keys: map[string]cipher.AEAD{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 || !keyID.MatchString(fields[0]) {
			return nil, bide.Errorf(bide.CodeInvalidInput, "line %d of the keyring is not an id and a key in base64", n)
		}
		raw, err := base64.StdEncoding.DecodeString(fields[1])
		switch {
		case err != nil || len(raw) != keyBytes:
			return nil, bide.Errorf(bide.CodeInvalidInput, "line %d of the keyring: key %q is not %d bytes in base64", n, fields[0], keyBytes)
		case k.keys[fields[0]] != nil:
			return nil, bide.Errorf(bide.CodeInvalidInput, "line %d of the keyring: there are two keys %q", n, fields[0])
		}
		k.ids, k.keys[fields[0]] = append(k.ids, fields[0]), aead(raw)
	}
	if err := lines.Err(); err != nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the keyring cannot be read: %w", err)
	}
	if len(k.ids) == 0 {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the keyring has no key; bide keyring makes one")
	}
	return k, nil
}

// OpenKeyring reads a keyring from where it is kept:
//
//	file:PATH       a file
//	env:NAME        a variable of the environment
//	command:PROGRAM what a program writes, such as a client of a vault; arguments are split at spaces
//
// It fails with bide.ErrInvalidInput, naming the source, when there is no keyring there.
func OpenKeyring(ctx context.Context, source string) (*Keyring, error) {
	text, err := readSource(ctx, source)
	if err == nil {
		var k *Keyring
		if k, err = ParseKeyring(text); err == nil {
			return k, nil
		}
	}
	return nil, bide.Errorf(bide.CodeInvalidInput, "the keyring %s cannot be used: %w", source, err)
}

func readSource(ctx context.Context, source string) ([]byte, error) {
	scheme, rest, _ := strings.Cut(source, ":")
	switch {
	case rest == "":
	case scheme == "file":
		return os.ReadFile(rest)
	case scheme == "env":
		if text := os.Getenv(rest); text != "" {
			return []byte(text), nil
		}
		return nil, fmt.Errorf("the variable %s is not set", rest)
	case scheme == "command":
		words := strings.Fields(rest)
		if len(words) == 0 {
			return nil, errors.New("no program is named")
		}
		var stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		cmd.Stderr = &stderr
		text, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", words[0], err, strings.TrimSpace(stderr.String()))
		}
		return text, nil
	}
	return nil, errors.New("use file:PATH, env:NAME or command:PROGRAM")
}

// IDs lists the keys, the current one first.
func (k *Keyring) IDs() []string { return slices.Clone(k.ids) }

// Current implements Keys.
func (k *Keyring) Current(context.Context) (string, error) { return k.ids[0], nil }

// Wrap implements Keys.
func (k *Keyring) Wrap(_ context.Context, id string, key, binding []byte) ([]byte, error) {
	a := k.keys[id]
	if a == nil {
		return nil, missing(id)
	}
	return box(a, &k.nonces, nil, key, binding), nil
}

// Unwrap implements Keys.
func (k *Keyring) Unwrap(_ context.Context, id string, wrapped, binding []byte) ([]byte, error) {
	a := k.keys[id]
	if a == nil {
		return nil, missing(id)
	}
	key, err := unbox(a, wrapped, binding)
	if err != nil {
		return nil, bide.Errorf(bide.CodeSealed, "the wrapping key %q is not the one that this was encrypted with; put the one of that name which was in use then into the keyring", id)
	}
	return key, nil
}

func missing(id string) error {
	return bide.Errorf(bide.CodeSealed, "the wrapping key %q is not in the keyring; put it there to read what was encrypted with it", id)
}

const keyBytes = 32
