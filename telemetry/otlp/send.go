// Package otlp sends the traces and metrics of the OpenTelemetry SDK to a collector: OTLP over HTTP, with bodies in protobuf. It reads
// the environment variables that OpenTelemetry gives for it.
//
//	traces, metrics, err := otlp.FromEnv(os.Getenv, "")
//	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(otlp.NewSpans(*traces)))
//
// It is small, since the exporters of the OpenTelemetry project bring gRPC and a runtime for protobuf along. It knows nothing of runs.
package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Target is where one signal goes.
type Target struct {
	// URL is where requests are posted to, such as http://127.0.0.1:4318/v1/traces.
	URL string
	// Header goes with every request.
	Header map[string]string
	// Timeout bounds one export with all its tries. Defaults to 10s.
	Timeout time.Duration
	// Gzip compresses the bodies.
	Gzip bool
}

// maxTries bounds how often one export is sent.
const maxTries = 5

// sender posts exports.
type sender struct {
	to     Target
	client *http.Client
	closed *atomic.Bool
}

func newSender(to Target) sender {
	if to.Timeout <= 0 {
		to.Timeout = 10 * time.Second
	}
	// A key goes to the host that is named, and to no other.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return sender{to, client, new(atomic.Bool)}
}

// Shutdown has later exports fail. Those under way go on.
func (s *sender) Shutdown(context.Context) error {
	s.closed.Store(true)
	return nil
}

// send posts an export; again, after a pause, when the collector is busy or cannot be reached. Errors hold nothing of the headers, nor of what the
// collector says.
func (s *sender) send(ctx context.Context, body message) error {
	if s.closed.Load() {
		return errClosed
	}
	if s.to.Gzip {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		_, err := w.Write(body)
		if err = errors.Join(err, w.Close()); err != nil {
			return fmt.Errorf("compress telemetry: %w", err)
		}
		body = zipped.Bytes()
	}
	ctx, stop := context.WithTimeoutCause(ctx, s.to.Timeout, fmt.Errorf("not taken within %s", s.to.Timeout))
	defer stop()
	pause := 500 * time.Millisecond
	for try := 1; ; try++ {
		after, err := s.post(ctx, body)
		if err == nil || after < 0 || try == maxTries || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(max(after, pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		pause *= 2
	}
}

// post sends an export once. With an error, it says how long the collector asks to wait before another try; less than zero means that
// none can help.
func (s *sender) post(ctx context.Context, body []byte) (after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.to.URL, bytes.NewReader(body))
	if err != nil {
		return -1, fmt.Errorf("send telemetry: %w", err)
	}
	for name, v := range s.to.Header {
		req.Header.Set(name, v)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	if s.to.Gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("send telemetry: %w", err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, fmt.Errorf("send telemetry to %s: %w", s.to.URL, err)
	}
	switch {
	case resp.StatusCode/100 == 2:
		return 0, nil
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusGatewayTimeout:
		if seconds, perr := strconv.Atoi(resp.Header.Get("Retry-After")); perr == nil && seconds > 0 {
			after = time.Duration(min(seconds, 3600)) * time.Second
		}
	default:
		after = -1
	}
	return after, fmt.Errorf("send telemetry to %s: the collector answers %s", s.to.URL, resp.Status)
}
