package worker

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Identity is what the id of a worker tells about it.
type Identity struct {
	Host    string
	Process int       // its number on the host
	Since   time.Time // when the worker was made
}

// NewID returns a fresh id: the name of the host, at most 40 characters of it, the number of the process and a UUIDv7, with dots in between.
func NewID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return strings.Join([]string{host[:min(len(host), 40)], strconv.Itoa(os.Getpid()), uuid.Must(uuid.NewV7()).String()}, ".")
}

// Identify reads what an id made by NewID tells, and reports whether it is one.
func Identify(id string) (who Identity, ok bool) {
	rest, unique, _ := cutLast(id)
	host, process, ok := cutLast(rest)
	u, err := uuid.Parse(unique)
	pid, perr := strconv.Atoi(process)
	if !ok || err != nil || perr != nil || u.Version() != 7 {
		return who, false
	}
	return Identity{Host: host, Process: pid, Since: time.Unix(u.Time().UnixTime()).UTC()}, true
}

// cutLast cuts a text at its last dot.
func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexByte(text, '.')
	if i < 0 {
		return "", text, false
	}
	return text[:i], text[i+1:], true
}
