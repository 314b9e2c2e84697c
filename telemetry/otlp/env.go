package otlp

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// fallback is where a collector listens when nothing else is said.
const fallback = "http://localhost:4318"

// FromEnv says where traces and metrics go, by the variables OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER (otlp or
// none), and OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL (http/protobuf), _HEADERS, _TIMEOUT (milliseconds) and _COMPRESSION (gzip or none), each
// also with TRACES_ or METRICS_ after OTLP_. endpoint stands in for OTEL_EXPORTER_OTLP_ENDPOINT where that is not set. A signal without an
// endpoint and without "otlp" for its exporter is not sent: nil. It fails, listing every fault, on values that cannot be used; errors hold no headers.
func FromEnv(getenv func(string) string, endpoint string) (traces, metrics *Target, err error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil, nil
	}
	e := env{getenv, endpoint, nil}
	traces, metrics = e.target("TRACES", "/v1/traces"), e.target("METRICS", "/v1/metrics")
	return traces, metrics, errors.Join(e.faults...)
}

type env struct {
	getenv   func(string) string
	endpoint string
	faults   []error
}

// get reads a variable of the exporter: that of the signal, or else the one for all.
func (e *env) get(signal, name string) (value, variable string) {
	variable = "OTEL_EXPORTER_OTLP_" + signal + "_" + name
	if value = e.getenv(variable); value == "" {
		variable = "OTEL_EXPORTER_OTLP_" + name
		value = e.getenv(variable)
	}
	return value, variable
}

func (e *env) fault(variable, format string, args ...any) {
	e.faults = append(e.faults, fmt.Errorf("%s: %s", variable, fmt.Sprintf(format, args...)))
}

// target reads where a signal goes.
func (e *env) target(signal, path string) *Target {
	exporter := e.getenv("OTEL_" + signal + "_EXPORTER")
	own := e.getenv("OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT")
	base, variable := e.getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "OTEL_EXPORTER_OTLP_ENDPOINT"
	if base == "" {
		base, variable = e.endpoint, "the endpoint"
	}
	switch {
	case exporter == "none", exporter == "" && own == "" && base == "":
		return nil
	case exporter != "" && exporter != "otlp":
		e.fault("OTEL_"+signal+"_EXPORTER", "%q is neither otlp nor none", exporter)
		return nil
	case own == "" && base == "":
		base = fallback
	}
	t := &Target{URL: strings.TrimRight(base, "/") + path, Header: map[string]string{}}
	if own != "" {
		t.URL, variable = own, "OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT"
	}
	if u, err := url.Parse(t.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		e.fault(variable, "it is not an http or https address without credentials; they belong into OTEL_EXPORTER_OTLP_HEADERS")
	}
	if protocol, at := e.get(signal, "PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		e.fault(at, "%q is not spoken here; use http/protobuf, which collectors take at port 4318", protocol)
	}
	if text, at := e.get(signal, "TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			e.fault(at, "%q is not a number of milliseconds", text)
		}
		t.Timeout = time.Duration(ms) * time.Millisecond
	}
	switch compression, at := e.get(signal, "COMPRESSION"); compression {
	case "gzip":
		t.Gzip = true
	case "", "none":
	default:
		e.fault(at, "%q is neither gzip nor none", compression)
	}
	headers, at := e.get(signal, "HEADERS")
	for pair := range strings.SplitSeq(headers, ",") {
		name, text, ok := strings.Cut(pair, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(text))
		switch name = strings.TrimSpace(name); {
		case strings.TrimSpace(pair) == "":
		case !ok || name == "" || err != nil:
			e.fault(at, "it is not a list such as name=value,other=value")
			return nil
		default:
			t.Header[name] = decoded
		}
	}
	return t
}
