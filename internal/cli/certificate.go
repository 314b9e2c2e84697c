package cli

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a certificate in files, which are read again when they have changed: a renewal needs no restart.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	stamp  time.Time // of the newer file, when it was read
	looked time.Time
}

// lookEvery is how often the files are looked at, at most.
const lookEvery = 10 * time.Second

// newCertificate reads the files.
func newCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, log: log}
	return c, c.read()
}

func (c *certificate) read() error {
	stamp, err := c.changed()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.pair, c.stamp = &pair, stamp
	return nil
}

// changed is when the newer of the files was written.
func (c *certificate) changed() (time.Time, error) {
	cert, err := os.Stat(c.cert)
	key, kerr := os.Stat(c.key)
	if err != nil || kerr != nil {
		return time.Time{}, errors.Join(err, kerr)
	}
	if key.ModTime().After(cert.ModTime()) {
		return key.ModTime(), nil
	}
	return cert.ModTime(), nil
}

// config is the configuration of a server with the certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if now := time.Now(); now.Sub(c.looked) >= lookEvery {
			c.looked = now
			if stamp, err := c.changed(); err != nil || !stamp.Equal(c.stamp) {
				if err := c.read(); err != nil { // the old one counts until the files are whole
					c.log.Error("the certificate cannot be read again", "cert", c.cert, "err", err)
				}
			}
		}
		return c.pair, nil
	}}
}
