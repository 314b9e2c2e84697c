package cli

import (
	"embed"

	"github.com/bide-dev/bide/flow"
)

//go:embed starter
var starterFS embed.FS

// starter lists the files of a new project.
func starter() ([]starterFile, error) {
	files := []starterFile{{path: ".bide/flow.schema.json", text: flow.Schema()}}
	for _, f := range [][2]string{{"bide.yaml", "bide.yaml"}, {".gitignore", "gitignore"}, {"flows/hello.yaml", "hello.yaml"}, {"flows/hello.test.yaml", "hello.test.yaml"}} {
		text, err := starterFS.ReadFile("starter/" + f[1])
		if err != nil {
			return nil, err
		}
		files = append(files, starterFile{f[0], text})
	}
	return files, nil
}

// starterFile is a file of a new project.
type starterFile struct {
	path string
	text []byte
}
