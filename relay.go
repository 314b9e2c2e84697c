package bide

// Relay is what a store offers whose processes can show each other what is under way, such as the answer
// of a model while it comes. Nothing of it is kept, none of it is part of a run, and texts may be lost.
// A topic is a text of any length, for instance the id of a run.
type Relay interface {
	// Offer lets other processes see what is under way on a topic. While one of them listens, the
	// store calls next every now and then, never twice at once, and passes on the texts that are new since
	// the last call, each whole. They are valid UTF-8 without zero bytes. anew says that somebody may have
	// missed what came before: then a text that tells all from the beginning is among them. While nobody listens, next is not
	// called. It calls nothing of the Relay.
	//
	// end ends the offer: if somebody listens, after a last call of next, for whose texts it waits a second at most. It
	// must be called once.
	Offer(topic string, next func(anew bool) []string) (end func())

	// Listen calls f with the texts that other processes offer on a topic, those of one offer in
	// their order, until stop is called; a call that is under way may still come after it. f returns at
	// once, and calls nothing of the Relay.
	Listen(topic string, f func(text string)) (stop func())
}
