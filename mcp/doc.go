// Package mcp makes the tools of servers of the Model Context Protocol tools of a
// tool.Set, over the official SDK. A server is a process that is spoken to over its standard input
// and output, or one that is reached over streamable HTTP.
//
// A server that asks for more input in the middle of a call gets it when a person has
// answered, hours later and from another process if need be: the request is a durable wait, and
// the call is made again with the answer and the state that the server gave for it.
//
//	client, err := mcp.New(mcp.Server{Name: "files", Command: []string{"mcp-files", "work"}}, nil)
//	tools, err := client.Tools(ctx)
//	set, err := tool.New(&tool.Options{Policy: policy}, tools...)
//
// The package knows no model and no policy; it decides nothing.
package mcp
