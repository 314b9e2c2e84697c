package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/bide-dev/bide/gateway/webhook"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// The library of the specification's authors is what receivers use.
func TestSignaturesAreThoseOfTheSpecification(t *testing.T) {
	secret, next := webhook.NewSecret(), webhook.NewSecret()
	body, now := []byte(`{"type":"run.completed","data":{"ü":1}}`), time.Now()
	h := http.Header{}
	if err := webhook.Sign(h, []string{next, secret}, "msg_1", now, body); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{secret, next} {
		theirs, err := standard.NewWebhook(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := theirs.Verify(body, h); err != nil {
			t.Errorf("their Verify: %v", err)
		}
		if err := theirs.Verify(append(body, ' '), h); err == nil {
			t.Error("their Verify accepts another body")
		}
		signature, err := theirs.Sign("msg_2", now, body)
		if err != nil {
			t.Fatal(err)
		}
		back := http.Header{}
		back.Set(webhook.HeaderID, "msg_2")
		back.Set(webhook.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
		back.Set(webhook.HeaderSignature, signature)
		if id, err := webhook.Verify(back, []string{s}, now, body); id != "msg_2" || err != nil {
			t.Errorf("Verify of theirs = %q, %v", id, err)
		}
	}
}

func TestSignaturesThatDoNotCountAreRefused(t *testing.T) {
	secret, body := webhook.NewSecret(), []byte(`{}`)
	for name, c := range map[string]struct {
		change func(h http.Header)
		now    time.Time
		body   string
	}{
		"another body":       {nil, noon, `{ }`},
		"too old":            {nil, noon.Add(webhook.Tolerance + time.Second), `{}`},
		"too early":          {nil, noon.Add(-webhook.Tolerance - time.Second), `{}`},
		"another id":         {func(h http.Header) { h.Set(webhook.HeaderID, "msg_2") }, noon, `{}`},
		"no id":              {func(h http.Header) { h.Del(webhook.HeaderID) }, noon, `{}`},
		"another time":       {func(h http.Header) { h.Set(webhook.HeaderTimestamp, strconv.FormatInt(noon.Unix()+1, 10)) }, noon, `{}`},
		"time in other form": {func(h http.Header) { h.Set(webhook.HeaderTimestamp, "+"+h.Get(webhook.HeaderTimestamp)) }, noon, `{}`},
		"no time":            {func(h http.Header) { h.Del(webhook.HeaderTimestamp) }, noon, `{}`},
		"no signature":       {func(h http.Header) { h.Del(webhook.HeaderSignature) }, noon, `{}`},
		"an empty signature": {func(h http.Header) { h.Set(webhook.HeaderSignature, "v1,") }, noon, `{}`},
		"another version": {func(h http.Header) {
			h.Set(webhook.HeaderSignature, strings.Replace(h.Get(webhook.HeaderSignature), "v1,", "v2,", 1))
		}, noon, `{}`},
	} {
		h := http.Header{}
		if err := webhook.Sign(h, []string{secret}, "msg_1", noon, body); err != nil {
			t.Fatal(err)
		}
		if id, err := webhook.Verify(h, []string{secret}, noon.Add(webhook.Tolerance), body); id != "msg_1" || err != nil {
			t.Fatalf("before the change: %v", err)
		}
		if c.change != nil {
			c.change(h)
		}
		if _, err := webhook.Verify(h, []string{secret}, c.now, []byte(c.body)); !errors.Is(err, webhook.ErrSignature) {
			t.Errorf("%s: %v, want ErrSignature", name, err)
		}
	}
	h := http.Header{}
	if err := webhook.Sign(h, []string{secret}, "msg_1", noon, body); err != nil {
		t.Fatal(err)
	}
	if _, err := webhook.Verify(h, []string{webhook.NewSecret()}, noon, body); !errors.Is(err, webhook.ErrSignature) {
		t.Errorf("another secret: %v", err)
	}
	if _, err := webhook.Verify(h, nil, noon, body); !errors.Is(err, webhook.ErrSignature) {
		t.Errorf("no secret: %v", err)
	}
	if err := webhook.Sign(h, []string{"whsec_%%"}, "msg_1", noon, body); err == nil {
		t.Error("a secret that is not base64 signs")
	}
}

// Whatever a stranger sends, it is refused, unless it is what was signed.
func FuzzVerify(f *testing.F) {
	secret := webhook.NewSecret()
	h := http.Header{}
	if err := webhook.Sign(h, []string{secret}, "msg_1", noon, []byte(`{}`)); err != nil {
		f.Fatal(err)
	}
	stamp, signature := h.Get(webhook.HeaderTimestamp), h.Get(webhook.HeaderSignature)
	f.Add("msg_1", stamp, signature, []byte(`{}`))
	f.Add("msg_1", stamp, "v1,AAAA v1,"+signature, []byte(`{}`))
	f.Add("msg_1."+stamp, stamp, signature, []byte(`{}`))
	f.Add("msg_1", "99999999999999999999", "v1,", []byte(nil))
	f.Add("", "-1", "v1a,x", []byte("\xff"))
	f.Fuzz(func(t *testing.T, id, at, sig string, body []byte) {
		h := http.Header{webhook.HeaderID: nil}
		h.Set(webhook.HeaderID, id)
		h.Set(webhook.HeaderTimestamp, at)
		h.Set(webhook.HeaderSignature, sig)
		got, err := webhook.Verify(h, []string{secret}, noon, body)
		signedByUs := id == "msg_1" && at == stamp && string(body) == `{}`
		if err == nil && (!signedByUs || got != id) {
			t.Errorf("Verify(%q, %q, %q, %q) = %q", id, at, sig, body, got)
		}
	})
}

// What signs is what verifies, for any id without a place where it could be cut otherwise, and any body.
func FuzzSignedIsVerified(f *testing.F) {
	f.Add("msg_1", []byte(`{}`), int64(0))
	f.Add("a.b", []byte("\x00"), int64(299))
	secret := webhook.NewSecret()
	f.Fuzz(func(t *testing.T, id string, body []byte, later int64) {
		h := http.Header{}
		if err := webhook.Sign(h, []string{secret}, id, noon, body); err != nil {
			t.Fatal(err)
		}
		_, err := webhook.Verify(h, []string{secret}, noon.Add(time.Duration(later%1000)*time.Second), body)
		if ok := id != "" && len(id) <= 200 && max(later%1000, -(later%1000)) <= 300; (err == nil) != ok {
			t.Errorf("Verify of %q signed %ds ago = %v", id, later%1000, err)
		}
	})
}

// hexMAC is a sum as GitHub and Stripe write it.
func hexMAC(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}
