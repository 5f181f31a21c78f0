package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// askTimeout bounds a question with all its tries, tryTimeout one of them, and tryPause lies between two.
	askTimeout = 10 * time.Second
	tryTimeout = 4 * time.Second
	tryPause   = 500 * time.Millisecond
	// maxAnswer bounds an answer in bytes; objects have up to 1.5 MiB in etcd, and a little more as JSON.
	maxAnswer = 4 << 20
	// maxQuoted bounds what is quoted of an error of the API server, in bytes.
	maxQuoted = 200
)

// finalError is a failure that does not pass by itself.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// insist tries something again and again where the failure may pass, until ctx ends. Each try has a bound of its own.
func (c *Cluster) insist(ctx context.Context, try func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, tryTimeout)
		err := try(once)
		cancel()
		if _, final := errors.AsType[finalError](err); err == nil || final {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(tryPause):
		}
	}
}

// namespace returns the pod's.
func (c *Cluster) namespace() (string, error) {
	namespace, err := c.readLine("namespace")
	if err == nil && !isName(namespace) {
		err = fmt.Errorf("namespace %q is no name", namespace)
	}
	if err != nil {
		return "", finalError{err}
	}
	return namespace, nil
}

// call makes one request of the API server, and returns the status and the body of its answer.
func (c *Cluster) call(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	token, err := c.readLine("token")
	if err != nil {
		return 0, nil, finalError{err}
	}
	client, err := c.client()
	if err != nil {
		return 0, nil, finalError{err}
	}
	defer client.CloseIdleConnections()
	where := url.URL{Scheme: "https", Host: c.server, Path: path}
	req, err := http.NewRequestWithContext(ctx, method, where.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, finalError{err}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, fmt.Errorf("read the answer of the API server: %w", err)
	}
	if len(answer) > maxAnswer {
		return 0, nil, finalError{fmt.Errorf("the answer of the API server is longer than %d bytes", maxAnswer)}
	}
	return res.StatusCode, answer, nil
}

// client returns a client that trusts the cluster's own certificates alone, and follows nobody elsewhere with the token.
func (c *Cluster) client() (*http.Client, error) {
	certificates, err := c.read("ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificates) {
		return nil, errors.New("ca.crt of the service account holds no certificate")
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: c.dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// status is how the API server says what went wrong (meta/v1).
type status struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

func isStatus(body []byte) bool {
	var s status
	return json.Unmarshal(body, &s) == nil && s.Kind == "Status"
}

// refused is the error for an answer that says no. Too many requests and failures of the server's own may pass.
func refused(code int, body []byte) error {
	var s status
	if json.Unmarshal(body, &s) != nil || s.Message == "" {
		s.Message = strings.TrimSpace(string(body[:min(len(body), maxQuoted)]))
	}
	err := fmt.Errorf("the API server answers %d: %s", code, s.Message[:min(len(s.Message), maxQuoted)])
	if code == http.StatusTooManyRequests || code >= http.StatusInternalServerError {
		return err
	}
	return finalError{err}
}
