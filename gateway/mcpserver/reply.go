package mcpserver

import (
	"bytes"
	"net/http"
	"time"
)

// reply is an http.ResponseWriter that keeps an answer.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

var _ http.ResponseWriter = (*reply)(nil)

// Header implements http.ResponseWriter.
func (r *reply) Header() http.Header { return r.header }

// Write implements http.ResponseWriter.
func (r *reply) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// WriteHeader implements http.ResponseWriter.
func (r *reply) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// SetReadDeadline means nothing here: all is in memory.
func (r *reply) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline means nothing here: all is in memory.
func (r *reply) SetWriteDeadline(time.Time) error { return nil }

// Flush means nothing here.
func (r *reply) Flush() {}
