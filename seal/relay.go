package seal

import (
	"context"

	"github.com/bide-dev/bide"
)

// Offer implements bide.Relay: texts are encrypted with the key for what belongs to no run. Those
// for which it is not to be had are not passed on. A store that passes nothing on never calls next.
func (s *Store) Offer(topic string, next func(anew bool) []string) (end func()) {
	relay, ok := s.inner.(bide.Relay)
	if !ok {
		return func() {}
	}
	return relay.Offer(topic, func(anew bool) []string {
		key, err := s.sharedKey(context.Background())
		if err != nil {
			return nil
		}
		texts := next(anew)
		for i, text := range texts {
			texts[i] = string(envelopeJSON(key.seal([]byte(text), belonging("live", topic))))
		}
		return texts
	})
}

// Listen implements bide.Relay. What is not encrypted, or cannot be opened, is left out.
func (s *Store) Listen(topic string, f func(text string)) (stop func()) {
	relay, ok := s.inner.(bide.Relay)
	if !ok {
		return func() {}
	}
	return relay.Listen(topic, func(text string) {
		envelope, sealed := fromJSON(bide.JSON(text))
		if !sealed {
			return
		}
		if plain, _, err := s.openEnvelope(context.Background(), envelope, belonging("live", topic)); err == nil {
			f(string(plain))
		}
	})
}
