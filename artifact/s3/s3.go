// Package s3 keeps blobs by the SHA-256 of their content in a bucket of a service that speaks the S3 protocol. It
// knows nothing of runs, tools or what a blob means.
package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
)

var _ artifact.Store = (*Bucket)(nil)

// Bucket keeps each blob in an object under its hash. It may be used from many goroutines and processes at once.
type Bucket struct {
	client *minio.Client
	bucket string
	prefix string // empty or with a slash at its end
	opts   Options
}

// Options refines a bucket. Nil means the defaults.
type Options struct {
	// Credentials default to those of the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), of the shared
	// file of AWS, and of the machine, in that order.
	Credentials *credentials.Credentials
	// Settle is how long Sweep waits between saying that it removes and removing; longer than any Put takes from seeing
	// that a blob is there to telling the service that it is used again. Defaults to 1m.
	Settle time.Duration
	// Transport carries the requests. Defaults to http.DefaultTransport.
	Transport http.RoundTripper
}

// Open returns the bucket that a URL names:
//
//	s3://bucket/prefix                                   of AWS
//	s3://bucket/prefix?endpoint=https://minio.lan:9000   of another service
//	s3://bucket/prefix?region=eu-central-1
//
// It asks the service whether the bucket is there, and fails with bide.ErrNotFound when it is not, and
// bide.ErrInvalidInput when the URL cannot be used.
func Open(ctx context.Context, address string, opts *Options) (*Bucket, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		return nil, bide.Errorf(bide.CodeInvalidInput, "%q names no bucket; use s3://BUCKET/PREFIX, with ?endpoint=https://HOST for a service that is not AWS", address)
	}
	b := &Bucket{bucket: u.Host, prefix: strings.Trim(u.Path, "/")}
	if b.prefix != "" {
		b.prefix += "/"
	}
	if opts != nil {
		b.opts = *opts
	}
	if b.opts.Settle <= 0 {
		b.opts.Settle = time.Minute
	}
	if b.opts.Credentials == nil {
		b.opts.Credentials = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}})
	}
	host, secure := "s3.amazonaws.com", true
	q := u.Query()
	for name := range q {
		if name != "endpoint" && name != "region" {
			return nil, bide.Errorf(bide.CodeInvalidInput, "%q: there is no parameter %q; there are endpoint and region", address, name)
		}
	}
	if text := q.Get("endpoint"); text != "" {
		e, err := url.Parse(text)
		if err != nil || e.Host == "" || e.Scheme != "https" && e.Scheme != "http" || strings.Trim(e.Path, "/") != "" {
			return nil, bide.Errorf(bide.CodeInvalidInput, "%q: the endpoint %q is not of the form https://HOST:PORT", address, text)
		}
		host, secure = e.Host, e.Scheme == "https"
	}
	b.client, err = minio.New(host, &minio.Options{Creds: b.opts.Credentials, Secure: secure, Region: q.Get("region"), Transport: b.opts.Transport})
	if err != nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "open artifacts %s: %w", address, err)
	}
	there, err := b.client.BucketExists(ctx, b.bucket)
	switch {
	case err != nil:
		return nil, fmt.Errorf("open artifacts %s: %w", address, err)
	case !there:
		return nil, bide.Errorf(bide.CodeNotFound, "there is no bucket %s", b.bucket)
	}
	return b, nil
}

// Close ends the use of the bucket.
func (b *Bucket) Close() error { return nil }

// freshEnough is the age up to which a blob needs no sign of being used again: Sweep removes only much older ones.
const freshEnough = artifact.MinAge / 2

// Put keeps what it reads from r until the end and returns the SHA-256 of it, in hex, and its size in bytes. It goes
// through a temporary file, for the name is known only at the end. What is there already is not sent again.
func (b *Bucket) Put(ctx context.Context, r io.Reader) (sum string, size int64, err error) {
	tmp, err := os.CreateTemp("", "bide-artifact-*")
	if err != nil {
		return "", 0, fmt.Errorf("keep artifact: %w", err)
	}
	defer func() {
		err = errors.Join(err, tmp.Close(), os.Remove(tmp.Name()))
	}()
	h := sha256.New()
	if size, err = io.Copy(io.MultiWriter(tmp, h), artifact.Reader(ctx, r)); err != nil {
		return "", 0, fmt.Errorf("keep artifact: %w", err)
	}
	sum = hex.EncodeToString(h.Sum(nil))
	if there, err := b.use(ctx, sum, size); there || err != nil {
		return sum, size, err
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return "", 0, fmt.Errorf("keep artifact: %w", err)
	}
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: size < 64<<20}
	if o.DisableMultipart {
		o.SetMatchETagExcept("*") // only when it is not there yet
	}
	var body io.Reader = tmp
	if size == 0 {
		body, o.DisableContentSha256 = http.NoBody, true // there is nothing to send in chunks
	}
	_, err = b.client.PutObject(ctx, b.bucket, b.name(sum), body, size, o)
	if code := minio.ToErrorResponse(err).Code; code == minio.PreconditionFailed { // another one was first
		err = nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("keep artifact: %w", err)
	}
	return sum, size, nil
}

// use reports whether a blob is there, and says to sweeps that it is used again.
func (b *Bucket) use(ctx context.Context, sum string, size int64) (bool, error) {
	info, err := b.client.StatObject(ctx, b.bucket, b.name(sum), minio.StatObjectOptions{})
	switch {
	case missing(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for artifact: %w", err)
	case info.Size != size: // it was changed where it is kept
		return false, b.remove(ctx, sum)
	case time.Since(info.LastModified) < freshEnough:
		return true, nil
	}
	if err := b.unlocked(ctx); err != nil {
		return false, err
	}
	from := minio.CopySrcOptions{Bucket: b.bucket, Object: b.name(sum)}
	_, err = b.client.CopyObject(ctx, minio.CopyDestOptions{Bucket: b.bucket, Object: b.name(sum), ReplaceMetadata: true,
		UserMetadata: map[string]string{"used": time.Now().UTC().Format(time.RFC3339)}}, from)
	if missing(err) { // swept away meanwhile
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("use artifact again: %w", err)
	}
	return true, nil
}

// Open returns a blob, or bide.ErrNotFound. Reading it to the end fails with bide.ErrCorrupt when the content is not that of the hash.
func (b *Bucket) Open(ctx context.Context, sum string) (io.ReadCloser, error) {
	if err := artifact.CheckSum(sum); err != nil {
		return nil, err
	}
	obj, err := b.client.GetObject(ctx, b.bucket, b.name(sum), minio.GetObjectOptions{})
	if err == nil {
		_, err = obj.Stat() // asks
	}
	if missing(err) {
		return nil, bide.Errorf(bide.CodeNotFound, "there is no artifact %s", sum)
	}
	if err != nil {
		return nil, fmt.Errorf("open artifact: %w", err)
	}
	return artifact.Checked(obj, sum), nil
}

func (b *Bucket) remove(ctx context.Context, sum string) error {
	if err := b.client.RemoveObject(ctx, b.bucket, b.name(sum), minio.RemoveObjectOptions{}); err != nil && !missing(err) {
		return fmt.Errorf("remove artifact: %w", err)
	}
	return nil
}

// name is the object of a blob.
func (b *Bucket) name(sum string) string { return b.prefix + "blobs/" + sum }

func missing(err error) bool {
	switch minio.ToErrorResponse(err).Code {
	case minio.NoSuchKey, "NotFound":
		return true
	}
	return false
}
