// Package transfer moves runs: out of a store into one file, out of a file into any store, and from store
// to store (K29).
//
// A file is text, a JSON object a line, each with one member that says what it is, so that any tool can look
// into it. Records stand in it byte for byte as they are stored, so their hash chain holds wherever they are.
// The last line carries the SHA-256 of all before. A file is not compressed: what is read is never larger
// than what was sent, and whoever wants can compress it outside. It can be encrypted with age.
//
// [Export] writes one, [Inspect] reads and checks one without a store, [Import] puts it into a store, and [Copy] does
// both at once between two stores. The package knows stores through their port alone.
package transfer
