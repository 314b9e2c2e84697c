package s3

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
)

// A bucket cannot remove an object only if nobody has used it since, so a sweep says first that it removes, in an object
// of its own; a Put of a blob that is old and there waits for its end, and one that looked before has Settle to get done.

// lockTime is how long a sweep lasts at most; the word of one that died counts no longer.
const lockTime = time.Hour

// lockPoll is how often a Put looks whether a sweep has ended.
const lockPoll = 200 * time.Millisecond

func (b *Bucket) lock() string { return b.prefix + "sweep" }

// unlocked waits until no sweep is at work.
func (b *Bucket) unlocked(ctx context.Context) error {
	for range int(lockTime/lockPoll) + 1 {
		at, err := b.locked(ctx)
		if err != nil || at.IsZero() {
			return err
		}
		if err := pause(ctx, lockPoll); err != nil {
			return err
		}
	}
	return bide.Errorf(bide.CodeConflict, "a sweep of the artifacts does not end; try again")
}

// locked is since when a sweep is at work; zero when none is.
func (b *Bucket) locked(ctx context.Context) (time.Time, error) {
	info, err := b.client.StatObject(ctx, b.bucket, b.lock(), minio.StatObjectOptions{})
	switch {
	case missing(err):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("look for a sweep: %w", err)
	case time.Since(info.LastModified) > lockTime+lockTime/2:
		return time.Time{}, nil // it died; the half is for clocks
	}
	return info.LastModified, nil
}

// Sweep implements artifact.Store. It fails with bide.ErrConflict while another one is at work.
func (b *Bucket) Sweep(ctx context.Context, before time.Time, keep artifact.Keep) (out artifact.Swept, err error) {
	if err := artifact.CheckAge(before); err != nil {
		return out, err
	}
	at, err := b.locked(ctx)
	if err != nil {
		return out, err
	}
	if !at.IsZero() {
		return out, bide.Errorf(bide.CodeConflict, "another sweep is at work since %s", at)
	}
	var o minio.PutObjectOptions
	if info, err := b.client.StatObject(ctx, b.bucket, b.lock(), minio.StatObjectOptions{}); err == nil {
		o.SetMatchETag(info.ETag) // that of one that died
	} else {
		o.SetMatchETagExcept("*")
	}
	word := []byte(time.Now().UTC().Format(time.RFC3339Nano))
	_, err = b.client.PutObject(ctx, b.bucket, b.lock(), bytes.NewReader(word), int64(len(word)), o)
	if minio.ToErrorResponse(err).Code == minio.PreconditionFailed {
		return out, bide.Errorf(bide.CodeConflict, "another sweep has just begun")
	}
	if err != nil {
		return out, fmt.Errorf("begin a sweep: %w", err)
	}
	defer func() {
		gone := b.client.RemoveObject(context.WithoutCancel(ctx), b.bucket, b.lock(), minio.RemoveObjectOptions{})
		if err == nil && gone != nil {
			err = fmt.Errorf("end a sweep: %w", gone)
		}
	}()
	ctx, stop := context.WithTimeout(ctx, lockTime)
	defer stop()
	if err := pause(ctx, b.opts.Settle); err != nil {
		return out, err
	}
	err = b.sweep(ctx, before, keep, &out)
	return out, err
}

func (b *Bucket) sweep(ctx context.Context, before time.Time, keep artifact.Keep, out *artifact.Swept) error {
	for o := range b.client.ListObjects(ctx, b.bucket, minio.ListObjectsOptions{Prefix: b.name(""), Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("list artifacts: %w", o.Err)
		}
		sum := strings.TrimPrefix(o.Key, b.name(""))
		if artifact.CheckSum(sum) != nil || !o.LastModified.Before(before) {
			out.Kept++
			continue
		}
		kept, err := keep(ctx, sum)
		if err != nil {
			return err
		}
		if kept {
			out.Kept++
			continue
		}
		if err := b.remove(ctx, sum); err != nil {
			return err
		}
		out.Removed, out.Bytes = out.Removed+1, out.Bytes+o.Size
	}
	return nil
}

// pause waits, or fails when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
