package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// yamlFromJSON writes a JSON value as YAML: the same members in the same order, numbers with their text, and what is sly escaped.
func yamlFromJSON(raw []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	node, err := yamlNode(dec)
	if err != nil {
		return nil, err
	}
	text, err := yaml.Dump(node)
	return escaped(text), err
}

func yamlNode(dec *json.Decoder) (*yaml.Node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	scalar := func(tag, value string) (*yaml.Node, error) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}, nil
	}
	switch v := token.(type) {
	case json.Delim:
		node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if v == '{' {
			node = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		}
		for dec.More() {
			child, err := yamlNode(dec)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
			if v == '{' {
				if child, err = yamlNode(dec); err != nil {
					return nil, err
				}
				node.Content = append(node.Content, child)
			}
		}
		if len(node.Content) == 0 {
			node.Style = yaml.FlowStyle
		}
		_, err := dec.Token()
		return node, err
	case string:
		node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}
		if strings.ContainsFunc(v, func(r rune) bool { return r >= 0x7f && sly(r) }) {
			node.Style = yaml.DoubleQuotedStyle // the one in which characters can be escaped
		}
		return node, nil
	case json.Number:
		if bytes.ContainsAny([]byte(v), ".eE") {
			return scalar("!!float", v.String())
		}
		return scalar("!!int", v.String())
	case bool:
		return scalar("!!bool", fmt.Sprint(v))
	}
	return scalar("!!null", "null")
}

// entry is one scalar of a configuration file: its path, such as worker.runs, and where it is.
type entry struct {
	path, value string
	line        int
}

// sections are the settings that are whole objects: their value is the JSON of one.
var sections = []string{"models", "tools", "login", "redact"}

// readEntries lists the scalars of a YAML text. A list of scalars is one value, joined by commas.
func readEntries(text []byte) (entries []entry, err error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document in the file")
	}
	if len(doc.Content) != 1 {
		return nil, nil
	}
	err = walkEntries("", doc.Content[0], &entries)
	return entries, err
}

func walkEntries(path string, node *yaml.Node, entries *[]entry) error {
	if slices.Contains(sections, path) {
		value, err := sectionJSON(node.Decode)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", node.Line, path, err)
		}
		*entries = append(*entries, entry{path, value, node.Line})
		return nil
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i].Value
			if path != "" {
				key = path + "." + key
			}
			if err := walkEntries(key, node.Content[i+1], entries); err != nil {
				return err
			}
		}
		return nil
	case yaml.SequenceNode:
		if path == "" {
			break
		}
		e := entry{path: path, line: node.Line}
		for i, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return fmt.Errorf("line %d: %s is a list of plain values", item.Line, path)
			}
			if i > 0 {
				e.value += ","
			}
			e.value += item.Value
		}
		*entries = append(*entries, e)
		return nil
	case yaml.ScalarNode:
		if path == "" && node.Tag == "!!null" {
			return nil // a file of comments
		}
		if path != "" {
			*entries = append(*entries, entry{path, node.Value, node.Line})
			return nil
		}
	}
	return fmt.Errorf("line %d: settings are names and values, such as store: sqlite:bide.db", node.Line)
}
