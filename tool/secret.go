package tool

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Secrets resolves the name of a secret to its value when a call is made (K30).
type Secrets func(ctx context.Context, name string) (string, error)

var secretRef = regexp.MustCompile(`\$\{secret:([A-Za-z0-9_.-]+)\}`)

// Revealed holds secrets that were resolved for a call, to keep them out of
// everything that is kept or shown. Use one for each call.
type Revealed struct {
	secrets Secrets
	hide    [][2]string // a text, and what to put in its place; the longest first, since one may begin with another
}

// Reveal returns what resolves references with secrets, which may be nil when there are none.
func Reveal(secrets Secrets) *Revealed { return &Revealed{secrets: secrets} }

// Expand replaces each reference ${secret:NAME} in a text of the configuration by
// the secret's value. Never expand what a model wrote.
func (r *Revealed) Expand(ctx context.Context, text string) (string, error) {
	return r.expand(ctx, text, func(value string) string { return value })
}

// ExpandURL is Expand for a URL, in which values are escaped.
func (r *Revealed) ExpandURL(ctx context.Context, text string) (string, error) {
	return r.expand(ctx, text, escape)
}

// escape is a value as it can be anywhere in a path or query.
func escape(value string) string { return strings.ReplaceAll(url.QueryEscape(value), "+", "%20") }

func (r *Revealed) expand(ctx context.Context, text string, form func(string) string) (string, error) {
	var failed error
	out := secretRef.ReplaceAllStringFunc(text, func(ref string) string {
		name := secretRef.FindStringSubmatch(ref)[1]
		if r.secrets == nil {
			failed = fmt.Errorf("secret %q is referred to, but nothing resolves secrets", name)
			return ""
		}
		value, err := r.secrets(ctx, name)
		if err != nil {
			failed = fmt.Errorf("secret %q: %w", name, err)
			return ""
		}
		r.add(ref, value)
		return form(value)
	})
	return out, failed
}

// add notes a value in the forms in which it may come back.
func (r *Revealed) add(ref, value string) {
	if value == "" {
		return
	}
	forms := []string{value, escape(value), url.QueryEscape(value), url.PathEscape(value), base64.StdEncoding.EncodeToString([]byte(value)),
		base64.URLEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value))}
	if quoted, err := json.Marshal(value); err == nil {
		forms = append(forms, strings.Trim(string(quoted), `"`))
	}
	for _, form := range forms {
		if !slices.ContainsFunc(r.hide, func(pair [2]string) bool { return pair[0] == form }) {
			r.hide = append(r.hide, [2]string{form, ref})
		}
	}
	slices.SortStableFunc(r.hide, func(a, b [2]string) int { return len(b[0]) - len(a[0]) })
}

// Hide puts references back in the place of the values that Expand gave.
func (r *Revealed) Hide(text string) string {
	if len(r.hide) == 0 {
		return text
	}
	var pairs []string
	for _, pair := range r.hide {
		pairs = append(pairs, pair[:]...)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// HideIn returns err with a message without secrets.
func (r *Revealed) HideIn(err error) error {
	if err == nil || r.Hide(err.Error()) == err.Error() {
		return err
	}
	return hidden{r.Hide(err.Error()), err}
}

type hidden struct {
	text string
	err  error
}

func (h hidden) Error() string { return h.text }
func (h hidden) Unwrap() error { return h.err }
