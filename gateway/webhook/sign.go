package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of the Standard Webhooks specification.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// Tolerance is how far the time of a signed request may be from now, both ways.
const Tolerance = 5 * time.Minute

const (
	secretPrefix = "whsec_"
	secretBytes  = 32
)

// ErrSignature is returned for a request whose signature does not count, whatever the reason.
var ErrSignature = errors.New("the signature is missing, wrong or too old")

// NewSecret makes a secret in the text form of the specification: "whsec_" and base64.
func NewSecret() string {
	raw := make([]byte, secretBytes)
	rand.Read(raw) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(raw)
}

// key returns the bytes of a secret: those behind "whsec_", or else the text itself, as GitHub and others mean it.
func key(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok {
		return []byte(secret), nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		return nil, errors.New(`what follows "whsec_" in the secret is not base64`)
	}
	return raw, nil
}

func mac(secret string, parts ...[]byte) ([]byte, error) {
	k, err := key(secret)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, k)
	for _, p := range parts {
		h.Write(p) // never fails
	}
	return h.Sum(nil), nil
}

// Sign sets the three headers on a message. There is one signature per secret, so that a receiver may change
// from one to the next when it likes.
func Sign(h http.Header, secrets []string, id string, at time.Time, body []byte) error {
	stamp := strconv.FormatInt(at.Unix(), 10)
	var signatures []string
	for _, secret := range secrets {
		sum, err := mac(secret, []byte(id+"."+stamp+"."), body)
		if err != nil {
			return err
		}
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(sum))
	}
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, stamp)
	h.Set(HeaderSignature, strings.Join(signatures, " "))
	return nil
}

// Verify returns the id of a message that is signed with one of the secrets at about now. It fails with ErrSignature.
func Verify(h http.Header, secrets []string, now time.Time, body []byte) (id string, err error) {
	id, stamp := h.Get(HeaderID), h.Get(HeaderTimestamp)
	if id == "" || len(id) > 200 || !recent(stamp, now) {
		return "", ErrSignature
	}
	var given [][]byte
	for _, s := range strings.Fields(h.Get(HeaderSignature)) {
		text, ok := strings.CutPrefix(s, "v1,")
		if sum, err := base64.StdEncoding.DecodeString(text); ok && err == nil && len(given) < 10 {
			given = append(given, sum)
		}
	}
	if !signed(secrets, given, []byte(id+"."+stamp+"."), body) {
		return "", ErrSignature
	}
	return id, nil
}

// signed reports whether one of the given sums is that of one of the secrets, comparing in constant time.
func signed(secrets []string, given [][]byte, parts ...[]byte) bool {
	found := false
	for _, secret := range secrets {
		want, err := mac(secret, parts...)
		if err != nil {
			continue
		}
		for _, sum := range given {
			if hmac.Equal(want, sum) {
				found = true
			}
		}
	}
	return found
}

// recent reads seconds since 1970 and reports whether they are about now.
func recent(stamp string, now time.Time) bool {
	sec, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || stamp != strconv.FormatInt(sec, 10) {
		return false
	}
	age := now.Unix() - sec
	limit := int64(Tolerance / time.Second)
	return sec > 0 && age <= limit && age >= -limit
}

// verifyGitHub checks X-Hub-Signature-256, which says nothing of the time. The id is the hash of the body: the
// one that GitHub sends beside is not signed.
func verifyGitHub(h http.Header, secrets []string, _ time.Time, body []byte) (id string, err error) {
	text, ok := strings.CutPrefix(h.Get("X-Hub-Signature-256"), "sha256=")
	sum, err := hex.DecodeString(text)
	if !ok || err != nil || !signed(secrets, [][]byte{sum}, body) {
		return "", ErrSignature
	}
	return bodyID(body), nil
}

// verifyStripe checks Stripe-Signature: t=<seconds>,v1=<hex>, several v1 allowed.
func verifyStripe(h http.Header, secrets []string, now time.Time, body []byte) (id string, err error) {
	stamp, given := "", [][]byte(nil)
	for part := range strings.SplitSeq(h.Get("Stripe-Signature"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			stamp = value
		case "v1":
			if sum, err := hex.DecodeString(value); err == nil && len(given) < 10 {
				given = append(given, sum)
			}
		}
	}
	if !recent(stamp, now) || !signed(secrets, given, []byte(stamp+"."), body) {
		return "", ErrSignature
	}
	return bodyID(body), nil
}

func bodyID(body []byte) string { return fmt.Sprintf("%x", sha256.Sum256(body)) }
