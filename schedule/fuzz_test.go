package schedule_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide/schedule"
)

// What ParseSpec accepts is written and read again as the same, and has times in order.
func FuzzParseSpec(f *testing.F) {
	for _, text := range []string{
		`{"name":"x","cron":"30 2 * * *","time_zone":"Europe/Berlin","workflow":"w","input":{"a":1.0},"labels":{"a":"b"},"jitter":"10m"}`,
		`{"name":"x","cron":"*/15 */2 1-7,29/2 feb-dec mon-fri","time_zone":"Australia/Lord_Howe","workflow":"w","overlap":"queue","queue":3}`,
		`{"name":"x","interval":"90s","anchor":"2026-01-01T00:00:00+01:00","workflow":"w","version":"2","start":"2026-01-01T00:00:00Z","end":"9999-01-01T00:00:00Z"}`,
		`{"name":"x","cron":"@weekly","workflow":"w","catch_up":100,"grace":"1s","run_timeout":"1h","session":"s","overlap":"cancel"}`,
		`{"name":"x","interval":"2562047h47m16.854775s","workflow":"w"}`,
		`{"name":"x","cron":"0 0 30 2 *","workflow":"w"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := schedule.ParseSpec(text)
		if err != nil {
			return
		}
		again, err := schedule.ParseSpec(must[[]byte](t)(json.Marshal(s)))
		if err != nil {
			t.Fatalf("ParseSpec of what ParseSpec read: %v", err)
		}
		if diff := cmp.Diff(must[[]byte](t)(json.Marshal(s)), must[[]byte](t)(json.Marshal(again))); diff != "" {
			t.Fatal(diff)
		}
		last := at("2026-03-01T00:00:00Z")
		for _, next := range must[[]time.Time](t)(s.Next(last, 50)) {
			if !next.After(last) || next.Before(s.Start) || !s.End.IsZero() && !next.Before(s.End) {
				t.Fatalf("%s follows %s, between %s and %s", next, last, s.Start, s.End)
			}
			last = next
		}
	})
}
