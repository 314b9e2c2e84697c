package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

const (
	// relayGap is how long texts are collected after some were sent.
	relayGap = 50 * time.Millisecond
	// relayRenew is how often a process says that it still listens, and relayLasts how long others believe it.
	relayRenew = 10 * time.Second
	relayLasts = 30 * time.Second
	// relayRetry is how long to wait after texts could not be sent.
	relayRetry = time.Second
	// relayPatience is how long an offer that ends waits for its last texts to be sent.
	relayPatience = time.Second
	// relayPiece is how many bytes of a text one notification has; PostgreSQL takes less than 8,000 in all.
	relayPiece = 7_000
	// relayTopics is how many topics one notification names.
	relayTopics = 250

	// What a process says about topics, after who it is.
	relayBegins = "+" // it listens from now on, and knows nothing yet
	relayStays  = "=" // it still listens
	relayEnds   = "-" // it listens no more
	relayWho    = "?" // it began, and does not know who listens

	// All in one transaction, in order. As in sqlNotify, it waits for no disk.
	sqlNotifyAll = `SELECT pg_notify($1, t), set_config('synchronous_commit', 'off', true) FROM unnest($2::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n`
	sqlUnlisten  = `UNLISTEN `
)

// relay shows what is under way to the processes that listen for it. Who listens is said
// on one channel, which all hear; texts go through another, which only those hear who listen
// for something. Topics are named by their digests.
type relay struct {
	mu       sync.Mutex
	offers   map[string][]*offer
	wanted   map[string]map[string]time.Time // by topic and process: until when
	heard    map[string][]*listener
	changed  func()        // wakes the connection that listens; nil while there is none
	due      chan struct{} // holds a token when there may be texts to send
	urgent   chan struct{} // holds a token when they are not to be collected any longer
	numbered int64         // texts made ready, by show alone
	disabled bool          // the server has no notifications
}

// offer is what is under way.
type offer struct {
	topic string
	next  func(anew bool) []string
	anew  bool
	ended chan struct{} // made when it ends, closed when its last texts were sent
}

type listener struct{ f func(text string) }

func newRelay() *relay {
	return &relay{offers: map[string][]*offer{}, wanted: map[string]map[string]time.Time{}, heard: map[string][]*listener{},
		due: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
}

// asksChannel is where the processes of a schema say what they listen for, and liveChannel where the texts go.
func (s *Store) asksChannel() string { return s.channel() + "_asks" }
func (s *Store) liveChannel() string { return s.channel() + "_live" }

func digest(topic string) string {
	sum := sha256.Sum256([]byte(topic))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Offer implements bide.Relay.
func (s *Store) Offer(topic string, next func(anew bool) []string) (end func()) {
	r, o := s.relay, &offer{topic: digest(topic), next: next, anew: true}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offers[o.topic] = append(r.offers[o.topic], o)
	if r.isWanted(o.topic) {
		put(r.due)
	}
	return func() { s.endOffer(o) }
}

// endOffer has the last texts of an offer sent.
func (s *Store) endOffer(o *offer) {
	r := s.relay
	r.mu.Lock()
	if !r.isWanted(o.topic) {
		without(r.offers, o.topic, o)
		r.mu.Unlock()
		return
	}
	o.ended = make(chan struct{})
	put(r.due)
	put(r.urgent)
	r.mu.Unlock()
	timer := time.NewTimer(relayPatience)
	defer timer.Stop()
	select {
	case <-o.ended:
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// Listen implements bide.Relay.
func (s *Store) Listen(topic string, f func(text string)) (stop func()) {
	r, topic, l := s.relay, digest(topic), &listener{f}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard[topic] = append(r.heard[topic], l)
	r.wake()
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		without(r.heard, topic, l)
		r.wake()
	}
}

// without takes v out of the list at key.
func without[T comparable](m map[string][]T, key string, v T) {
	var left []T
	for _, x := range m[key] {
		if x != v {
			left = append(left, x)
		}
	}
	if m[key] = left; len(left) == 0 {
		delete(m, key)
	}
}

func (r *relay) wake() {
	if r.changed != nil {
		r.changed()
	}
}

// isWanted reports whether another process listens for a topic.
func (r *relay) isWanted(topic string) bool {
	if r.disabled {
		return false
	}
	now := time.Now()
	for who, until := range r.wanted[topic] {
		if until.After(now) {
			return true
		}
		delete(r.wanted[topic], who)
	}
	delete(r.wanted, topic)
	return false
}

// asked takes what another process says that it listens for.
func (r *relay) asked(who, what string, topics []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, topic := range topics {
		if what == relayEnds {
			if delete(r.wanted[topic], who); len(r.wanted[topic]) == 0 {
				delete(r.wanted, topic)
			}
			continue
		}
		if r.wanted[topic] == nil {
			r.wanted[topic] = map[string]time.Time{}
		}
		_, known := r.wanted[topic][who]
		r.wanted[topic][who] = time.Now().Add(relayLasts)
		if known && what == relayStays {
			continue
		}
		for _, o := range r.offers[topic] {
			o.anew = true
			put(r.due)
		}
	}
}

// show sends what is offered and wanted until the store ends.
func (s *Store) show() {
	r := s.relay
	for {
		select {
		case <-r.due:
		case <-s.ctx.Done():
			return
		}
		for more := true; more; {
			var err error
			if more, err = s.showOnce(); err != nil {
				s.log.Info("what is under way cannot be shown to other processes", "server", s.server, "again", more, "err", err)
			}
			if more && !r.collect(s.ctx, err) {
				return
			}
		}
	}
}

// collect waits until it is time to send again, after err; it reports false when the store ends.
func (r *relay) collect(ctx context.Context, err error) bool {
	gap := relayGap
	if err != nil {
		gap = relayRetry
	}
	timer := time.NewTimer(gap)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.urgent:
	case <-ctx.Done():
		return false
	}
	return true
}

// showOnce sends what is new, in one statement, and reports whether there may be more to come.
func (s *Store) showOnce() (more bool, err error) {
	r := s.relay
	now := r.take()
	var texts []string
	for _, t := range now {
		for _, text := range t.offer.next(t.anew) {
			texts = r.pieces(texts, s.own()+" "+t.offer.topic, text)
		}
	}
	if len(texts) > 0 {
		_, err = s.pool.Exec(s.ctx, sqlNotifyAll, s.liveChannel(), texts)
	}
	return r.sent(now, err), err
}

// taken is an offer to be asked for what is new.
type taken struct {
	offer *offer
	anew  bool
	last  bool
}

// take returns the offers that are wanted, and those that end.
func (r *relay) take() (out []taken) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for topic, offers := range r.offers {
		wanted := r.isWanted(topic)
		for _, o := range offers {
			switch {
			case wanted:
				out = append(out, taken{o, o.anew, o.ended != nil})
				o.anew = false
			case o.ended != nil:
				out = append(out, taken{&offer{topic: topic, next: nothing, ended: o.ended}, false, true})
				without(r.offers, topic, o)
			}
		}
	}
	return out
}

func nothing(bool) []string { return nil }

// sent notes what became of texts: those that may be lost are told anew. It reports whether there is more to come.
func (r *relay) sent(now []taken, err error) (more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disabled = r.disabled || isUnable(err)
	for _, t := range now {
		switch o := t.offer; {
		case t.last:
			without(r.offers, o.topic, o)
			close(o.ended)
		case err != nil:
			o.anew, more = true, true
		default:
			more = true
		}
	}
	return more && !r.disabled
}

// pieces adds the notifications of a text. None is like another, of which PostgreSQL would deliver one.
func (r *relay) pieces(to []string, head, text string) []string {
	r.numbered++
	head += " " + strconv.FormatInt(r.numbered, 36)
	for i := 0; ; i++ {
		n := min(len(text), relayPiece)
		for n < len(text) && n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		last := "+"
		if n == len(text) {
			last = "."
		}
		to = append(to, head+" "+strconv.Itoa(i)+last+" "+text[:n])
		if text = text[n:]; text == "" {
			return to
		}
	}
}

// hearing is what the connection that listens knows of the relay.
type hearing struct {
	store   *Store
	conn    *pgx.Conn
	asking  bool             // the others were asked who listens
	told    map[string]bool  // the topics of which the others know
	live    bool             // the connection hears texts
	renewed time.Time        // when the others were last told of all
	parts   map[string]*part // by process: the text of which some has come
}

type part struct {
	of   string // topic and number
	next int    // the piece that follows
	text strings.Builder
}

// tell lets the others know what is listened for here, as it is now.
func (h *hearing) tell() error {
	begin, stay, end := h.news()
	renew := time.Since(h.renewed) >= relayRenew
	if live := len(h.told)+len(begin) > len(end); live != h.live {
		sql := sqlListen
		if !live {
			sql = sqlUnlisten
		}
		if _, err := h.conn.Exec(h.store.ctx, sql+pgx.Identifier{h.store.liveChannel()}.Sanitize()); err != nil {
			return err
		}
		h.live = live
	}
	var said []string
	say := func(what string, topics []string) {
		for part := range slices.Chunk(topics, relayTopics) {
			said = append(said, h.store.own()+" "+what+" "+strings.Join(part, " "))
		}
	}
	say(relayBegins, begin)
	if renew {
		say(relayStays, stay)
	}
	say(relayEnds, end)
	if !h.asking {
		said = append(said, h.store.own()+" "+relayWho)
	}
	if len(said) > 0 {
		if _, err := h.conn.Exec(h.store.ctx, sqlNotifyAll, h.store.asksChannel(), said); err != nil {
			return err
		}
	}
	h.asking = true
	if renew {
		h.renewed = time.Now()
	}
	for _, topic := range begin {
		h.told[topic] = true
	}
	for _, topic := range end {
		delete(h.told, topic)
	}
	return nil
}

// news returns the topics of which the others do not know, those of which they do, and
// those that nobody listens for any more.
func (h *hearing) news() (begin, stay, end []string) {
	r := h.store.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	for topic := range r.heard {
		if h.told[topic] {
			stay = append(stay, topic)
		} else {
			begin = append(begin, topic)
		}
	}
	for topic := range h.told {
		if r.heard[topic] == nil {
			end = append(end, topic)
		}
	}
	return begin, stay, end
}

// until returns a context that ends when the others are to be told something.
func (h *hearing) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithDeadline(ctx, h.renewed.Add(relayRenew))
	r := h.store.relay
	r.mu.Lock()
	r.changed = stop
	r.mu.Unlock()
	if begin, _, end := h.news(); len(begin)+len(end) > 0 { // since they were told, and before anybody could be woken
		stop()
	}
	return ctx, stop
}

// asked takes what another process says about topics, and reports whether it is to be told who listens here.
func (h *hearing) asked(who, said string) (answer bool) {
	what, topics, _ := strings.Cut(said, " ")
	if what == relayWho {
		h.renewed = time.Time{}
		return len(h.told) > 0
	}
	h.store.relay.asked(who, what, strings.Fields(topics))
	return false
}

// text takes a notification with a piece of a text, and gives the text to those
// who listen when it is whole.
func (h *hearing) text(who, said string) {
	f := strings.SplitN(said, " ", 4)
	if len(f) != 4 || len(f[2]) < 2 {
		return
	}
	topic, of, at, last := f[0], f[0]+f[1], f[2][:len(f[2])-1], f[2][len(f[2])-1] == '.'
	p := h.parts[who]
	if at == "0" {
		p = &part{of: of}
		h.parts[who] = p
	}
	if p == nil || p.of != of || at != strconv.Itoa(p.next) {
		delete(h.parts, who)
		return
	}
	p.text.WriteString(f[3])
	if p.next++; !last {
		return
	}
	delete(h.parts, who)
	r := h.store.relay
	r.mu.Lock()
	listeners := r.heard[topic]
	r.mu.Unlock()
	for _, l := range listeners {
		l.f(p.text.String())
	}
}
