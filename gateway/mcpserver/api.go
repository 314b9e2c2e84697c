package mcpserver

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// API makes a request to the gateway's API, whose URL has a path and a query only, with the caller's credentials.
type API func(req *http.Request) (*http.Response, error)

// maxReply bounds what is read of an answer.
const maxReply = 16 << 20

func (a API) ask(req *http.Request) (status int, text []byte, err error) {
	res, err := a(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	text, err = io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	if err == nil && len(text) > maxReply {
		err = fmt.Errorf("the answer has more than %d bytes; ask for less", maxReply)
	}
	return res.StatusCode, text, err
}

// At is the API of a server elsewhere. The client adds the credentials.
func At(base *url.URL, client *http.Client) API {
	return func(req *http.Request) (*http.Response, error) {
		at, err := url.Parse(strings.TrimSuffix(base.String(), "/") + req.URL.RequestURI())
		if err != nil {
			return nil, err
		}
		req.URL, req.Host = at, at.Host
		return client.Do(req)
	}
}

// Within is the API of a handler in this process, asked as a program on this machine would.
func Within(h http.Handler) API {
	return inProcess(h, func(req *http.Request) { req.Host, req.RemoteAddr = "localhost", "127.0.0.1:0" })
}

// forwarded are the headers that say who asks, and from where.
var forwarded = []string{"Authorization", "Cookie", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded", "Via"}

// forward is the API of a handler in this process, asked in the name of whoever made a request.
func forward(h http.Handler, r *http.Request) API {
	return inProcess(h, func(req *http.Request) {
		req.Host, req.RemoteAddr, req.TLS = r.Host, r.RemoteAddr, r.TLS
		for _, name := range forwarded {
			if values := r.Header.Values(name); len(values) > 0 {
				req.Header[http.CanonicalHeaderKey(name)] = values
			}
		}
	})
}

func inProcess(h http.Handler, as func(req *http.Request)) API {
	return func(req *http.Request) (*http.Response, error) {
		as(req)
		req.RequestURI = req.URL.RequestURI()
		w := &reply{header: http.Header{}}
		h.ServeHTTP(w, req)
		w.WriteHeader(http.StatusOK)
		return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: req}, nil
	}
}
