package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/bide-dev/bide/telemetry"
	"github.com/bide-dev/bide/telemetry/otlp"
)

// lastWords is how long a process that ends waits for its collector.
const lastWords = 3 * time.Second

// tell sends traces and metrics of what the worker commits, if the configuration or the environment says where to. What it opens is closed after
// the work has ended.
func (l *local) tell(ctx context.Context, cfg *config) error {
	traces, metrics, err := otlp.FromEnv(cfg.getenv, cfg.get("telemetry.endpoint"))
	if err != nil {
		return &problem{code: exitUsage, what: "telemetry cannot be sent", why: err.Error(), next: "bide help config", err: err}
	}
	if traces == nil && metrics == nil {
		return nil
	}
	who, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "bide"), attribute.String("service.version", buildVersion().Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return &problem{code: exitUsage, what: "telemetry cannot be sent", why: err.Error(), next: "bide help config", err: err}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { l.log.Warn("telemetry", "err", err) }))
	opts := &telemetry.Options{Payloads: cfg.get("telemetry.payloads") == "true", Logger: l.log}
	spans := []sdktrace.TracerProviderOption{sdktrace.WithIDGenerator(telemetry.IDs{}), sdktrace.WithResource(who)}
	if traces != nil {
		spans = append(spans, sdktrace.WithBatcher(otlp.NewSpans(*traces)))
	}
	counts := []sdkmetric.Option{sdkmetric.WithResource(who)}
	if metrics != nil {
		counts = append(counts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(otlp.NewMetrics(*metrics))))
	}
	tracers, meters := sdktrace.NewTracerProvider(spans...), sdkmetric.NewMeterProvider(counts...)
	opts.Tracers, opts.Meters = tracers, meters
	told, err := telemetry.New(l.rt, opts)
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	telling, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- told.Run(telling) }()
	l.equipped = append(l.equipped, func(ctx context.Context) error {
		stop()
		err := <-ended
		ctx, cancel := context.WithTimeout(ctx, lastWords)
		defer cancel()
		if lost := errors.Join(tracers.Shutdown(ctx), meters.Shutdown(ctx)); lost != nil { // what is lost is telemetry: the work is done
			l.log.Warn("telemetry", "err", lost)
		}
		return err
	})
	return nil
}
