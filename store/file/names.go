package file

import (
	"strings"

	"github.com/bide-dev/bide"
)

// The files of a store. What is written under a temporary name is renamed to its own.
const (
	storeName    = "store.json"
	lockName     = "lock"
	journalDir   = "journal"
	runsDir      = "runs"
	documentsDir = "documents"
	rowName      = "run.json"
	ledgerName   = "ledger.jsonl"
	snapshotName = "snapshot.jsonl"
	tempSuffix   = ".tmp"
)

// maxName is what common file systems allow for the name of a file, in bytes.
const maxName = 255

// reserved are the names that Windows keeps for devices.
var reserved = map[string]bool{"con": true, "prn": true, "aux": true, "nul": true}

// folder is the name of a run's folder: its id, with "!o" for a capital "O", as
// the Go module cache does it, so that two ids never share a folder where
// capitals make no difference, and "%2e" for other characters than letters, digits, - and _.
func folder(id string) (string, error) {
	name := encodeName(id)
	if len(name) == 0 || len(name) > maxName {
		return "", bide.Errorf(bide.CodeInvalidInput, "run id %q cannot be the name of a folder; choose one of at most 100 letters, digits, - and _", id)
	}
	return name, nil
}

func encodeName(id string) string {
	var b strings.Builder
	b.Grow(len(id))
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'A' && c <= 'Z':
			b.WriteByte('!')
			b.WriteByte(c + 'a' - 'A')
		case c >= 'a' && c <= 'z' && !(i == 0 && isDevice(id)), c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			const hex = "0123456789abcdef"
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// isDevice reports whether an id is the name of a device, such as con or com1.
func isDevice(id string) bool {
	return reserved[id] || len(id) == 4 && (id[:3] == "com" || id[:3] == "lpt") && id[3] >= '0' && id[3] <= '9'
}

// runOf is the id of the run whose folder has a name, if it is one.
func runOf(name string) (id string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '!' && i+1 < len(name):
			i++
			b.WriteByte(name[i] - 'a' + 'A')
		case c == '%' && i+2 < len(name):
			b.WriteByte(unhex(name[i+1])<<4 | unhex(name[i+2]))
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	again, err := folder(b.String())
	return b.String(), err == nil && again == name
}

func unhex(c byte) byte {
	if c >= 'a' && c <= 'f' {
		return c - 'a' + 10
	}
	return c - '0'
}
