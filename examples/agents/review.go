package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/mcp"
	"github.com/bide-dev/bide/tool"
)

// fileServer is the name by which this program is started as a server for files.
const fileServer = "fileserver"

// review is an agent that reads the files of a folder over the Model Context Protocol. The server is a process of its own: this
// program itself. Any other will do, such as npx @modelcontextprotocol/server-filesystem.
func review(ctx context.Context, o *options, model func(string) string) (*agent.Agent, *tool.Set, func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	dir, err := filepath.Abs(o.task)
	if err != nil {
		return nil, nil, nil, err
	}
	o.task = "Review the code."
	client, err := mcp.New(mcp.Server{Name: "files", Command: []string{self, fileServer, dir}, Trusted: true}, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	tools, err := client.Tools(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	policy, err := tool.NewPolicy(tool.Rule{Source: "mcp:files", When: "annotations.readOnlyHint", Decide: tool.Auto})
	if err != nil {
		return nil, nil, nil, err
	}
	set, err := tool.New(&tool.Options{Policy: policy}, tools...)
	if err != nil {
		return nil, nil, nil, err
	}
	a, err := agent.New(agent.Config{ID: "reviewer", Tools: set, Spec: agent.Spec{
		Model:   model("review"),
		System:  "You review code. List the files, read those that matter, and name the faults that you are sure of: file, line, what is wrong, how to mend it.",
		Limits:  &agent.Limits{Iterations: 30},
		Context: &agent.Context{MaxTokens: 60_000, Mode: agent.Summarize},
	}})
	return a, set, client.Close, err
}

type fileArgs struct {
	Path string `json:"path"`
}

// serveFiles is a server of the Model Context Protocol, over standard input and output, that lists and reads the files of a folder.
func serveFiles(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	s := sdk.NewServer(&sdk.Implementation{Name: "files", Version: "1"}, nil)
	no := false
	add := func(name, description string, fn func(path string) (string, error)) {
		sdk.AddTool(s, &sdk.Tool{Name: name, Description: description, Annotations: &sdk.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &no}},
			func(_ context.Context, _ *sdk.CallToolRequest, in fileArgs) (*sdk.CallToolResult, any, error) {
				text, err := fn(in.Path)
				return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: text}}}, nil, err
			})
	}
	add("list_directory", "Lists the files below a folder; . is all of them.", func(path string) (string, error) {
		var names []string
		err := fs.WalkDir(root.FS(), path, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && len(names) < 1000 {
				names = append(names, name)
			}
			return err
		})
		return strings.Join(names, "\n"), err
	})
	add("read_file", "Reads a file, with the numbers of its lines.", func(path string) (string, error) {
		body, err := fs.ReadFile(root.FS(), path)
		if err != nil {
			return "", err
		}
		var b strings.Builder
		n := 0
		for line := range strings.Lines(string(body)) {
			n++
			fmt.Fprintf(&b, "%d: %s", n, line)
		}
		return b.String(), nil
	})
	return s.Run(ctx, &sdk.StdioTransport{})
}
