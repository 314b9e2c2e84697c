package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/bide-dev/bide"
)

// An envelope is what is stored of something sealed: a byte of the version, the
// place of its data key, and then nonce, ciphertext and tag. What comes before the nonce, and
// where the envelope belongs, is authenticated with it.

const (
	version1    = 1
	blockBytes  = 12 // of a block's id
	headerBytes = 1 + blockBytes + 1
)

// place is where a data key is.
type place struct {
	block [blockBytes]byte
	slot  byte
}

func (p place) blockID() string { return base64.RawURLEncoding.EncodeToString(p.block[:]) }

// placeIn is the place of a data key in a block.
func placeIn(blockID string, slot byte) (at place, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(blockID)
	if err != nil || len(raw) != blockBytes {
		return at, bide.Errorf(bide.CodeCorrupt, "%.100q names no data keys", blockID)
	}
	copy(at.block[:], raw)
	at.slot = slot
	return at, nil
}

// header begins the envelopes of a data key.
func (p place) header() []byte {
	return append(append(make([]byte, 0, headerBytes), version1), append(p.block[:], p.slot)...)
}

// errNoEnvelope says that some text is not an envelope.
var errNoEnvelope = errors.New("this is no envelope of a version that is known")

// parseEnvelope takes an envelope apart.
func parseEnvelope(b []byte) (at place, box []byte, err error) {
	if len(b) < headerBytes+gcmBytes || b[0] != version1 {
		return at, nil, errNoEnvelope
	}
	copy(at.block[:], b[1:])
	at.slot = b[headerBytes-1]
	return at, b[headerBytes:], nil
}

// belonging is what an envelope is bound to: a kind and the parts that name one thing of it.
func belonging(kind string, parts ...string) string {
	return kind + "\x00" + strings.Join(parts, "\x00")
}

// In JSON, an envelope is an object with one member.
const (
	jsonBegin = `{"$sealed":"`
	jsonEnd   = `"}`
)

func envelopeJSON(envelope []byte) bide.JSON {
	b := make([]byte, 0, len(jsonBegin)+base64.StdEncoding.EncodedLen(len(envelope))+len(jsonEnd))
	b = append(b, jsonBegin...)
	b = base64.StdEncoding.AppendEncode(b, envelope)
	return append(b, jsonEnd...)
}

// fromJSON returns the envelope that a value is, or false for any other value.
func fromJSON(value bide.JSON) (envelope []byte, ok bool) {
	b, begins := bytes.CutPrefix(value, []byte(jsonBegin))
	b, ends := bytes.CutSuffix(b, []byte(jsonEnd))
	if !begins || !ends {
		return nil, false
	}
	envelope, err := base64.StdEncoding.AppendDecode(nil, b)
	if err != nil {
		return nil, false
	}
	_, _, err = parseEnvelope(envelope)
	return envelope, err == nil
}
