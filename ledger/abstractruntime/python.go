package abstractruntime

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// plain makes JSON of what Python writes: NaN and the infinities become null. It returns how many there were.
func plain(text []byte) ([]byte, int) {
	if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) {
		return text, 0
	}
	var out []byte
	found, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\' && i+1 < len(text):
			out = append(out, c)
			i++
		case c == '"':
			quoted = !quoted
		case !quoted:
			if n := token(text[i:]); n > 0 {
				out, found, i = append(out, "null"...), found+1, i+n-1
				continue
			}
		}
		out = append(out, text[i])
	}
	return out, found
}

func token(text []byte) int {
	for _, t := range []string{"NaN", "-Infinity", "Infinity"} {
		if bytes.HasPrefix(text, []byte(t)) {
			return len(t)
		}
	}
	return 0
}

// recordHash is the hash that AbstractRuntime gives a record that follows prev (empty for the first): of its canonical JSON, as Python
// writes it, without the hash and the signature. Numbers keep the text that Python gave them.
func recordHash(raw []byte, prev string) (string, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", err
	}
	delete(m, "record_hash")
	delete(m, "signature")
	m["prev_hash"] = json.RawMessage("null")
	if prev != "" {
		m["prev_hash"] = json.RawMessage(`"` + prev + `"`)
	}
	var b bytes.Buffer
	if err := canonicalObject(&b, m); err != nil {
		return "", err
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:]), nil
}

// canonical writes a value as json.dumps does with sorted keys, the separators "," and ":" and without escaping to ASCII.
func canonical(b *bytes.Buffer, raw json.RawMessage) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return fmt.Errorf("a value is missing")
	}
	switch raw[0] {
	case '{':
		var m map[string]json.RawMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			return err
		}
		return canonicalObject(b, m)
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return err
		}
		b.WriteByte('[')
		for i, v := range list {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := canonical(b, v); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		quote(b, s)
	default:
		b.Write(raw)
	}
	return nil
}

func canonicalObject(b *bytes.Buffer, m map[string]json.RawMessage) error {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names) // by bytes of UTF-8, which is the order of code points, as in Python
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		quote(b, name)
		b.WriteByte(':')
		if err := canonical(b, m[name]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// short are the escapes that Python writes by name.
var short = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`, "\f", `\f`)

func quote(b *bytes.Buffer, s string) {
	b.WriteByte('"')
	for _, c := range short.Replace(s) {
		if c < ' ' {
			fmt.Fprintf(b, `\u%04x`, c)
		} else {
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
}
