package redact

import (
	"regexp"
	"strings"
)

// patterns are those that have a word.
var patterns = map[string]struct {
	find  *regexp.Regexp
	valid func(string) bool
}{
	"card":  {regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`), luhn},
	"email": {regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`), nil},
	"iban":  {regexp.MustCompile(`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b`), iban},
}

func compactText(s string) string {
	return strings.NewReplacer(" ", "", "-", "").Replace(s)
}

// luhn checks the digit of payment cards (ISO/IEC 7812-1).
func luhn(s string) bool {
	s = compactText(s)
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// iban checks the digits of an account number (ISO 13616).
func iban(s string) bool {
	s = compactText(s)
	rest := 0
	for _, c := range s[4:] + s[:4] {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	return rest == 1
}
