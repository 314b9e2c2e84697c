package llm

import (
	_ "embed" // the price table
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// USD is an amount of money in 10^-12 US dollars, so that the price of one token is a whole number. Its
// JSON is the amount in dollars as a decimal text, such as "0.00125".
type USD int64

const (
	dollar   USD = 1e12
	million  USD = 1e6
	maxPrice     = 10_000 * dollar / million // of one token: $10,000 per million
	maxCount     = 100_000_000               // tokens of one call that can be priced without overflow
)

// ParseUSD reads an amount of dollars, such as "12.5" or "0.000001". It fails on signs, exponents, and more than twelve decimals.
func ParseUSD(s string) (USD, error) {
	whole, frac, _ := strings.Cut(s, ".")
	digits := func(r rune) bool { return r < '0' || r > '9' }
	if whole == "" || len(whole) > 7 || len(frac) > 12 || strings.ContainsFunc(whole+frac, digits) || strings.HasSuffix(s, ".") {
		return 0, fmt.Errorf("%q is not an amount of dollars such as 1.25", s)
	}
	n, err := strconv.ParseInt(whole+frac+strings.Repeat("0", 12-len(frac)), 10, 64)
	return USD(n), err
}

// String returns the amount in dollars, such as "0.00125".
func (u USD) String() string {
	sign := ""
	if u < 0 {
		sign, u = "-", -u
	}
	s := fmt.Sprintf("%s%d.%012d", sign, u/dollar, u%dollar)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// MarshalText implements encoding.TextMarshaler.
func (u USD) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *USD) UnmarshalText(b []byte) (err error) {
	*u, err = ParseUSD(string(b))
	return err
}

// Cost is what a call costs, by which prices.
type Cost struct {
	USD    USD    `json:"usd"`
	Prices string `json:"prices"` // version of the table
}

// Price is what a million tokens cost, in dollars. CacheRead and CacheWrite default to Input.
type Price struct {
	Input      USD  `yaml:"input"`
	Output     USD  `yaml:"output"`
	CacheRead  *USD `yaml:"cache_read"`
	CacheWrite *USD `yaml:"cache_write"`
}

// Prices is a table of prices by model, and the one to look into for models that are not in it. As a file it is YAML:
//
//	version: "2026-11-01"
//	models:
//	  openai/gpt-5-mini: {input: "0.25", cache_read: "0.025", output: "2"}
//	  ollama/*: {input: "0", output: "0"}
type Prices struct {
	Version string           `yaml:"version"`
	Models  map[string]Price `yaml:"models"`

	next *Prices
}

//go:embed prices.yaml
var builtinPrices []byte

// ParsePrices reads a table of prices. It fails on unknown fields, a missing version and prices that are none.
func ParsePrices(b []byte) (*Prices, error) {
	var p Prices
	if err := parseYAML(b, &p); err != nil {
		return nil, err
	}
	if p.Version == "" {
		return nil, errors.New("a price table needs a version")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Models)) {
		if _, _, err := splitModel(name); err != nil {
			return nil, err
		}
		for _, price := range p.Models[name].all() {
			if price/million > maxPrice {
				return nil, fmt.Errorf("the price of %s is more than $10,000 per million tokens", name)
			}
		}
	}
	return &p, nil
}

func (p Price) all() []USD {
	read, write := p.Input, p.Input
	if p.CacheRead != nil {
		read = *p.CacheRead
	}
	if p.CacheWrite != nil {
		write = *p.CacheWrite
	}
	return []USD{p.Input, p.Output, read, write}
}

// loadPrices reads the built-in table and, before it, that of a file.
func loadPrices(file string) (*Prices, error) {
	builtin, err := ParsePrices(builtinPrices)
	if err != nil || file == "" {
		return builtin, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	own, err := ParsePrices(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	own.next = builtin
	return own, nil
}

// Listed is a price with what it is of.
type Listed struct {
	Model                                string // provider/model, or provider/*
	Version                              string // of the table
	Input, Output, CacheRead, CacheWrite USD
}

// All lists the prices that count, by model.
func (p *Prices) All() (all []Listed) {
	seen := map[string]bool{}
	for ; p != nil; p = p.next {
		for model, price := range p.Models {
			if !seen[model] {
				seen[model] = true
				of := price.all()
				all = append(all, Listed{model, p.Version, of[0], of[1], of[2], of[3]})
			}
		}
	}
	slices.SortFunc(all, func(a, b Listed) int { return strings.Compare(a.Model, b.Model) })
	return all
}

// dated is the end of a model's name that only says which day it is from.
var dated = regexp.MustCompile(`-(\d{8}|\d{4}-\d{2}-\d{2})$`)

// Cost is what a call of model, as provider/model, costs; nil when the price or the usage is not known. A model
// without an entry of its own has that of its name without a date, or of provider/*.
func (p *Prices) Cost(model string, u Usage) *Cost {
	if p == nil || !u.Known() {
		return nil
	}
	provider, _, _ := strings.Cut(model, "/")
	for _, name := range []string{model, dated.ReplaceAllString(model, ""), provider + "/*"} {
		if price, ok := p.Models[name]; ok {
			return price.cost(p.Version, u)
		}
	}
	return p.next.Cost(model, u)
}

func (p Price) cost(version string, u Usage) *Cost {
	count := func(n *int64) int64 {
		if n == nil {
			return 0
		}
		return *n
	}
	read, write := count(u.CacheRead), count(u.CacheWrite)
	counts := []int64{*u.Input - read - write, *u.Output, read, write}
	var sum USD
	for i, price := range p.all() {
		if counts[i] < 0 || counts[i] > maxCount {
			return nil
		}
		sum += USD(counts[i]) * (price / million)
	}
	return &Cost{USD: sum, Prices: version}
}
