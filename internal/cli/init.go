package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func newInit(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "init [FOLDER]",
		Short: "Make a project: a flow, its cases, a configuration, and completion for editors",
		Long: `Make a project in a folder, by default the working directory: a flow and its cases to begin
with, bide.yaml, a .gitignore for the store, and the schema of flows for editors that speak yaml-language-server. Files
that are there already are not touched: the exit code is 4, and nothing is written.`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			folder := "."
			if len(args) == 1 {
				folder = args[0]
			}
			made, err := initProject(folder)
			if err != nil {
				return err
			}
			err = list(out, made, []string{"FILE"}, func(path string) []string { return []string{path} })
			a.say("\nTry:")
			if folder != "." {
				a.say("  cd %s", shellWord(folder))
			}
			a.say("  bide flow test\n  bide run hello --input name=World")
			return err
		},
	}
}

// initProject writes the files of a new project, or none when one of them is there.
func initProject(folder string) (made []string, err error) {
	files, err := starter()
	if err != nil {
		return nil, err
	}
	var there []string
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(folder, f.path)); err == nil {
			there = append(there, f.path)
		}
	}
	if len(there) > 0 {
		return nil, &problem{code: exitConflict, what: "there is a project here already", why: strings.Join(there, "\n"), next: "bide init ANOTHER-FOLDER"}
	}
	for _, f := range files {
		path := filepath.Join(folder, f.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		_, err = file.Write(f.text)
		if err = errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
		made = append(made, path)
	}
	return made, nil
}
