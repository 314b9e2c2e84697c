package llm_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bide-dev/bide/llm"
	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigurationComesFromAFileAndThenTheEnvironment(t *testing.T) {
	path := write(t, "llm.yaml", "default: work/big\nprices: prices.yaml\nproviders:\n  work: {kind: openai, base_url: https://a.example/v1, key: env:A}\n  scripted: {file: replies.yaml}\n")
	got, err := llm.LoadConfig(path, []string{"PATH=/bin", "BIDE_LLM_DEFAULT=work/small", "BIDE_LLM_WORK_BASE_URL=https://b.example/v1", "BIDE_LLM_MY_VLLM_KIND=openai", "BIDE_LLM_MY_VLLM_KEY=env:MINE"})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	want := llm.Config{Default: "work/small", Prices: filepath.Join(dir, "prices.yaml"), Providers: map[string]llm.ProviderConfig{
		"work":     {Kind: "openai", BaseURL: "https://b.example/v1", Key: "env:A"},
		"scripted": {File: filepath.Join(dir, "replies.yaml")},
		"my-vllm":  {Kind: "openai", Key: "env:MINE"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConfigurationIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		"defualt: a/b":         "defualt",
		"default: gpt":         "does not name a model",
		"a: b\n---\nc: d":      "", // whichever is said first
		"providers: {Big: {}}": "small letters",
		"providers: {openai: {key: " + secret + "}}":                                "a reference to a secret",
		"providers: {openai: {key: 'Bearer " + secret + "'}}":                       "a reference to a secret",
		"providers: {openai: {base_url: 'ftp://x'}}":                                "not an http or https address",
		"providers: {openai: {base_url: 'https://u:" + secret + "@x/v1'}}":          "credentials",
		"providers: {openai: {base_url: 'https://x/v1?key=" + secret + "'}}":        "credentials",
		"providers: {openai: {kind: scripted}}":                                     "nobody takes a script for a model",
		"providers: {scripted: {kind: openai, base_url: 'http://127.0.0.1:1234/'}}": "nobody takes a script for a model",
		"providers: {openai: {timeout: 3}}":                                         "timeout",
	} {
		if _, err := llm.ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("ParseConfig(%q) = %v, want %q", text, err, want)
		}
	}
	for entry, want := range map[string]string{
		"BIDE_LLM_DEFAULTS=a/b":              "BIDE_LLM_DEFAULTS",
		"BIDE_LLM_KEY=env:X":                 "BIDE_LLM_KEY",
		"BIDE_LLM_OPENAI_KEY=" + secret:      "a reference to a secret",
		"BIDE_LLM_OPENAI_TOKEN=" + secret:    "BIDE_LLM_OPENAI_TOKEN",
		"BIDE_LLM_OPENAI_BASE_URL=localhost": "not an http or https address",
	} {
		if _, err := llm.LoadConfig("", []string{entry}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("with %s: %v, want %q", strings.SplitN(entry, "=", 2)[0], err, want)
		}
	}
}

func TestWellKnownProvidersNeedNoConfiguration(t *testing.T) {
	m, err := llm.New(llm.Config{}, kinds, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Providers(); !slices.Contains(got, "openai") || !slices.Contains(got, "ollama") || !slices.Contains(got, "anthropic") || slices.Contains(got, "scripted") {
		t.Errorf("the providers are %q", got)
	}
}

func TestNewRefusesAProviderThatCannotBeOpened(t *testing.T) {
	for want, p := range map[string]llm.ProviderConfig{
		`the kind "smoke" is none of anthropic, gemini, openai`: {Kind: "smoke"},
		`it needs a base_url`: {Kind: "openai"},
	} {
		if _, err := llm.New(llm.Config{Providers: map[string]llm.ProviderConfig{"mine": p}}, kinds, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) = %v, want %q", p, err, want)
		}
	}
}

// A key for one server is not sent to another that is configured under its name.
func TestAnotherAddressDoesNotGetTheWellKnownKey(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		for _, name := range []string{"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY"} {
			t.Setenv(name, secret)
		}
		s := serve(t, events(d.answer("hi")...))
		m, err := llm.New(llm.Config{Default: d.kind + "/m", Providers: map[string]llm.ProviderConfig{d.kind: {BaseURL: s.URL}}}, kinds, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Generate(t.Context(), llm.Request{Messages: []llm.Message{llm.User("hi")}}, nil); err != nil {
			t.Fatal(err)
		}
		if s.keys[0] != "" {
			t.Error("the key went to a server that it is not for")
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add("default: a/b\nproviders: {openai: {key: env:X}}")
	f.Add("providers: [1]")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := llm.ParseConfig([]byte(text))
		if err != nil {
			return
		}
		if _, err := llm.New(llm.Config{Default: c.Default, Providers: nil}, kinds, nil); err != nil {
			t.Errorf("a configuration that was accepted cannot be used: %v", err)
		}
	})
}
