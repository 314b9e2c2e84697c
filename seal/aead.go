package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"sync"
)

const (
	nonceBytes = 12
	gcmBytes   = nonceBytes + 16 // nonce and tag
)

// aead is AES-256-GCM.
func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("seal: " + err.Error()) // the length is ours
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic("seal: " + err.Error())
	}
	return a
}

// box appends a random nonce, the ciphertext and the tag. With 2^32 boxes under one key, the
// chance that two have the same nonce is 2^-33 (NIST SP 800-38D, 8.3).
func box(a cipher.AEAD, nonces *supply, out, plain, binding []byte) []byte {
	at := len(out)
	out = nonces.take(out)
	return a.Seal(out, out[at:], plain, binding)
}

func unbox(a cipher.AEAD, b, binding []byte) ([]byte, error) {
	if len(b) < gcmBytes {
		return nil, errors.New("too short")
	}
	return a.Open(nil, b[:nonceBytes], b[nonceBytes:], binding)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // it never fails
	return b
}

// supply hands out nonces, each once. They are read from the system many at a time: a call for each
// would cost more than the encryption.
type supply struct {
	mu   sync.Mutex
	left []byte
}

// take appends a nonce.
func (s *supply) take(out []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.left) == 0 {
		s.left = random(256 * nonceBytes)
	}
	out = append(out, s.left[:nonceBytes]...)
	s.left = s.left[nonceBytes:]
	return out
}
