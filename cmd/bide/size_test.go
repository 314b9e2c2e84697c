package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// limit is the size of the binary as it is released, in bytes. What stands between it and 40 MB: docs/adr/0015-model-providers.md.
const limit = 45_000_000

// One import can add ten megabytes (docs/adr/0015-model-providers.md).
func TestTheBinaryStaysSmall(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bide")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	file, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	if file.Size() > limit {
		t.Errorf("the binary has %d bytes, want at most %d; `go tool nm -size -sort size` of one that is not stripped tells by whom", file.Size(), limit)
	}
}
