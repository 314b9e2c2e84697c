package llm

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Config says which providers there are. As a file it is YAML, or JSON, and every field must be known:
//
//	default: openai/gpt-5-mini
//	prices: prices.yaml
//	providers:
//	  openai: {key: env:OPENAI_API_KEY}
//	  work: {kind: openai, base_url: "https://vllm.example.com/v1", key: env:WORK_KEY}
//	  scripted: {file: replies.yaml}
type Config struct {
	// Default is the model for requests that name none.
	Default string `yaml:"default"`
	// Prices is a file with prices that go before those built in; see ParsePrices.
	Prices    string                    `yaml:"prices"`
	Providers map[string]ProviderConfig `yaml:"providers"`
}

// ProviderConfig is one provider. A provider with a name in WellKnown has what is said there where
// its own fields are empty.
type ProviderConfig struct {
	Kind    string `yaml:"kind"`     // the protocol; a name of Kinds. Defaults to the provider's name.
	BaseURL string `yaml:"base_url"` // http(s), without credentials
	// Key is a reference to the secret, such as env:OPENAI_API_KEY, never the secret itself.
	Key string `yaml:"key"`
	// File is what kind "scripted" answers from.
	File string `yaml:"file"`
}

// WellKnown returns the providers that need no configuration. Their keys are looked up when they are used.
func WellKnown() map[string]ProviderConfig {
	return map[string]ProviderConfig{
		"openai":     {Kind: "openai", BaseURL: "https://api.openai.com/v1", Key: "env:OPENAI_API_KEY"},
		"anthropic":  {Kind: "anthropic", BaseURL: "https://api.anthropic.com", Key: "env:ANTHROPIC_API_KEY"},
		"gemini":     {Kind: "gemini", BaseURL: "https://generativelanguage.googleapis.com/v1beta/openai", Key: "env:GEMINI_API_KEY"},
		"groq":       {Kind: "openai", BaseURL: "https://api.groq.com/openai/v1", Key: "env:GROQ_API_KEY"},
		"openrouter": {Kind: "openai", BaseURL: "https://openrouter.ai/api/v1", Key: "env:OPENROUTER_API_KEY"},
		"ollama":     {Kind: "openai", BaseURL: "http://127.0.0.1:11434/v1"},
		"lmstudio":   {Kind: "openai", BaseURL: "http://127.0.0.1:1234/v1"},
		"vllm":       {Kind: "openai", BaseURL: "http://127.0.0.1:8000/v1"},
	}
}

// LoadConfig reads a configuration: the file, unless path is empty, and then the
// environment, a list of NAME=value. Relative files in the configuration are relative to it.
//
// BIDE_LLM_DEFAULT and BIDE_LLM_PRICES set those fields; BIDE_LLM_<PROVIDER>_KIND, _BASE_URL, _KEY and _FILE those of a
// provider, whose name is in lower case with "-" for "_". Other variables that begin with BIDE_LLM_ are an error.
func LoadConfig(path string, environ []string) (Config, error) {
	var c Config
	if path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return c, fmt.Errorf("read model configuration: %w", err)
		}
		if c, err = ParseConfig(b); err != nil {
			return c, fmt.Errorf("%s: %w", path, err)
		}
		c.relativeTo(filepath.Dir(path))
	}
	if err := c.setEnv(environ); err != nil {
		return c, err
	}
	return c, c.check()
}

// ParseConfig reads a configuration file. It fails on fields that are not known.
func ParseConfig(b []byte) (c Config, err error) {
	if err := parseYAML(b, &c); err != nil {
		return c, err
	}
	return c, c.check()
}

// parseYAML reads one YAML document into v; every field must be known. An empty document changes nothing.
func parseYAML(b []byte, v any) error {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one document")
	}
	return nil
}

func (c *Config) relativeTo(dir string) {
	at := func(file string) string {
		if file == "" || filepath.IsAbs(file) {
			return file
		}
		return filepath.Join(dir, file)
	}
	c.Prices = at(c.Prices)
	for name, p := range c.Providers {
		p.File = at(p.File)
		c.Providers[name] = p
	}
}

const envPrefix = "BIDE_LLM_"

func (c *Config) setEnv(environ []string) error {
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		field, ok := strings.CutPrefix(name, envPrefix)
		if !ok {
			continue
		}
		if err := c.setField(field, value); err != nil {
			return fmt.Errorf("environment variable %s: %w", name, err)
		}
	}
	return nil
}

func (c *Config) setField(field, value string) error {
	switch field {
	case "DEFAULT":
		c.Default = value
		return nil
	case "PRICES":
		c.Prices = value
		return nil
	}
	for _, suffix := range []string{"_BASE_URL", "_KIND", "_KEY", "_FILE"} {
		provider, ok := strings.CutSuffix(field, suffix)
		if !ok || provider == "" {
			continue
		}
		name := strings.ReplaceAll(strings.ToLower(provider), "_", "-")
		if c.Providers == nil {
			c.Providers = map[string]ProviderConfig{}
		}
		p := c.Providers[name]
		*map[string]*string{"_BASE_URL": &p.BaseURL, "_KIND": &p.Kind, "_KEY": &p.Key, "_FILE": &p.File}[suffix] = value
		c.Providers[name] = p
		return nil
	}
	return errors.New("it is none of BIDE_LLM_DEFAULT, BIDE_LLM_PRICES and BIDE_LLM_<PROVIDER>_KIND, _BASE_URL, _KEY, _FILE")
}

var (
	providerName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	secretRef    = regexp.MustCompile(`^[a-z][a-z0-9+-]*:[A-Za-z0-9_./-]+$`)
)

// all returns the providers, those that are well known included.
func (c *Config) all() map[string]ProviderConfig {
	out := WellKnown()
	for name, p := range c.Providers {
		w, ok := out[name]
		if p.Kind != "" && p.Kind != w.Kind || p.BaseURL != "" && p.BaseURL != w.BaseURL {
			w.Key = "" // another server does not get this one's key
		}
		if ok {
			p = ProviderConfig{cmp.Or(p.Kind, w.Kind), cmp.Or(p.BaseURL, w.BaseURL), cmp.Or(p.Key, w.Key), p.File}
		}
		p.Kind = cmp.Or(p.Kind, name)
		out[name] = p
	}
	return out
}

func (c *Config) check() error {
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		if !providerName.MatchString(name) {
			return fmt.Errorf("provider %q: a name has small letters, digits and -", name)
		}
	}
	all := c.all()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := all[name].check(name); err != nil {
			return fmt.Errorf("provider %q: %w", name, err)
		}
	}
	if c.Default != "" {
		if _, _, err := splitModel(c.Default); err != nil {
			return fmt.Errorf("default: %w", err)
		}
	}
	return nil
}

func (p ProviderConfig) check(name string) error {
	if p.Key != "" && !secretRef.MatchString(p.Key) {
		return errors.New("key is a reference to a secret, such as env:OPENAI_API_KEY, not the secret itself") // which may be what stands there
	}
	if (name == ScriptedName) != (p.Kind == ScriptedName) {
		return fmt.Errorf("the name %q is for the kind %q, and the other way round, so that nobody takes a script for a model", ScriptedName, ScriptedName)
	}
	if p.BaseURL == "" {
		return nil
	}
	u, err := url.Parse(p.BaseURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("base_url is not an http or https address")
	}
	if u.User != nil || u.RawQuery != "" {
		return errors.New("base_url has credentials or a query; a key belongs into key, as a reference")
	}
	return nil
}

// ScriptedName is the name of the provider, and of the kind, whose answers no model gives.
const ScriptedName = "scripted"

// splitModel splits provider/model at the first slash.
func splitModel(s string) (provider, model string, err error) {
	provider, model, _ = strings.Cut(s, "/")
	if provider == "" || model == "" {
		return "", "", fmt.Errorf("%q does not name a model as provider/model, such as openai/gpt-5-mini", s)
	}
	return provider, model, nil
}
