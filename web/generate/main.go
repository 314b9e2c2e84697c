// Command generate makes what package web embeds and checks in: the types of the
// API out of its OpenAPI document, and dist out of the sources. It runs in the package's folder:
//
//	go generate ./web
//
// With -out it writes below another folder, for the test that says whether what is checked in is fresh.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	out := flag.String("out", ".", "the folder to write to")
	flag.Parse()
	if err := generate(*out); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(out string) error {
	doc, err := os.ReadFile("../gateway/openapi.json")
	if err != nil {
		return err
	}
	types, err := typesOf(doc)
	if err != nil {
		return fmt.Errorf("../gateway/openapi.json: %w", err)
	}
	if err := write(filepath.Join(out, "src/api/types.ts"), types); err != nil {
		return err
	}
	return bundle(filepath.Join(out, "dist"))
}

// bundle makes the script and the styles, and copies what needs no making.
func bundle(dist string) error {
	cmd := exec.Command("go", "tool", "-modfile=../tools/go.mod", "esbuild", "src/main.tsx", "--bundle", "--minify", "--format=esm",
		"--target=es2022", "--charset=utf8", "--loader:.yaml=text", "--legal-comments=none", "--log-level=warning", "--outdir="+dist)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("esbuild: %w", err)
	}
	for _, name := range []string{"index.html", "icon.svg"} {
		body, err := os.ReadFile(filepath.Join("src", name))
		if err != nil {
			return err
		}
		if err := write(filepath.Join(dist, name), body); err != nil {
			return err
		}
	}
	return nil
}

func write(name string, body []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, body, 0o644)
}
