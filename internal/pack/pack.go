// Package pack makes the long texts of ledgers smaller for stores that keep them in pages. It knows
// texts and bytes, and nothing of records: a hash chain is over what was packed, not over how.
package pack

import (
	_ "embed" // for the dictionary
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Least is the length from which on a text is packed, in bytes. What is shorter costs more time than it saves room.
const Least = 1 << 10

// most bounds what one packed text may turn into.
const most = 1 << 30

// dictionary is what records have in common: a ledger's rows are packed one by one, and most of what is not text in
// them is said in each. It is part of the format and never changes; another one would get another number, beside it.
//
//go:embed dictionary.txt
var dictionary []byte

// dictionaryID is the number that frames name the dictionary by.
const dictionaryID = 0xb1de

// Packer packs and unpacks, from many goroutines at once. It has nothing to close.
type Packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// New makes a packer.
func New() (*Packer, error) {
	// The chain has checksums of its own. Text without a repeat still has fewer than 256 characters.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
		zstd.WithAllLitEntropyCompression(true), zstd.WithLowerEncoderMem(true), zstd.WithEncoderDictRaw(dictionaryID, dictionary))
	if err != nil {
		return nil, fmt.Errorf("make a packer: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(most), zstd.WithDecoderConcurrency(0), zstd.WithDecoderDictRaw(dictionaryID, dictionary))
	if err != nil {
		return nil, fmt.Errorf("make a packer: %w", err)
	}
	return &Packer{enc, dec}, nil
}

// Pack returns a Zstandard frame of a text, with the dictionary of this package, or nil when that is not worth while.
func (p *Packer) Pack(text []byte) []byte {
	if len(text) < Least {
		return nil
	}
	packed := p.enc.EncodeAll(text, make([]byte, 0, len(text)))
	if len(packed) >= len(text) {
		return nil
	}
	return packed
}

// Unpack returns the text that was packed. It fails when packed is no such frame.
func (p *Packer) Unpack(packed []byte) ([]byte, error) {
	text, err := p.dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return text, nil
}
