// Command bide runs durable workflows: see bide help.
package main

import (
	"os"

	"github.com/bide-dev/bide/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
