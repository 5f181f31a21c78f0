package kubernetes

import (
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
	// askTimeout bounds the question with all its tries, tryTimeout one of them, and tryPause lies between two.
	askTimeout = 10 * time.Second
	tryTimeout = 4 * time.Second
	tryPause   = 500 * time.Millisecond
	// maxAnswer bounds an answer in bytes; objects have up to 1.5 MiB in etcd, and a little more as JSON.
	maxAnswer = 4 << 20
	// maxQuoted bounds what is quoted of an error of the API server, in bytes.
	maxQuoted = 200
)

// ScaledAway tells whether the pod is beyond the number of replicas that its StatefulSet is to have, so that it does not come back, and why. It is false whenever there is any
// doubt: where the StatefulSet is gone, is being deleted, is to have no replicas at all, or could not be asked for within askTimeout.
func (p *Pod) ScaledAway(ctx context.Context) (away bool, reason string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	set, err := p.ask(ctx)
	if err != nil {
		return false, fmt.Sprintf("StatefulSet %s can't be asked for: %v", p.set, err)
	}
	return set.scaledAway(p)
}

// statefulSet is what matters of a StatefulSet (apps/v1).
type statefulSet struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name              string `json:"name"`
		Namespace         string `json:"namespace"`
		DeletionTimestamp string `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec struct {
		Replicas *int32 `json:"replicas"`
		Ordinals *struct {
			Start int32 `json:"start"`
		} `json:"ordinals"`
	} `json:"spec"`

	missing bool // there is none
}

func (s *statefulSet) scaledAway(p *Pod) (away bool, reason string) {
	var first int64
	if s.Spec.Ordinals != nil {
		first = int64(s.Spec.Ordinals.Start)
	}
	switch {
	case s.missing:
		return false, fmt.Sprintf("StatefulSet %s does not exist any more", p.set)
	case s.Metadata.DeletionTimestamp != "":
		return false, fmt.Sprintf("StatefulSet %s is being deleted", p.set)
	case s.Spec.Replicas == nil || *s.Spec.Replicas < 0 || first < 0:
		return false, fmt.Sprintf("StatefulSet %s does not say how many replicas it has", p.set)
	case *s.Spec.Replicas == 0:
		return false, fmt.Sprintf("StatefulSet %s is to have no replicas at all, so that nobody could take over", p.set)
	case p.ordinal-first < int64(*s.Spec.Replicas):
		return false, fmt.Sprintf("pod %s is one of the %d replicas of StatefulSet %s and comes back", p.name, *s.Spec.Replicas, p.set)
	}
	return true, fmt.Sprintf("pod %s is beyond the %d replicas of StatefulSet %s", p.name, *s.Spec.Replicas, p.set)
}

// finalError is a failure that does not pass by itself.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// ask gets the pod's StatefulSet, again and again where the failure may pass, until ctx ends.
func (p *Pod) ask(ctx context.Context) (*statefulSet, error) {
	for {
		set, err := p.get(ctx)
		if _, final := errors.AsType[finalError](err); err == nil || final {
			return set, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(tryPause):
		}
	}
}

func (p *Pod) get(ctx context.Context) (*statefulSet, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	namespace, err := p.readLine("namespace")
	if err == nil && !isName(namespace) {
		err = fmt.Errorf("namespace %q is no name", namespace)
	}
	if err != nil {
		return nil, finalError{err}
	}
	token, err := p.readLine("token")
	if err != nil {
		return nil, finalError{err}
	}
	client, err := p.client()
	if err != nil {
		return nil, finalError{err}
	}
	defer client.CloseIdleConnections()
	where := url.URL{Scheme: "https", Host: p.server, Path: "/apis/apps/v1/namespaces/" + namespace + "/statefulsets/" + p.set}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return nil, finalError{err}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer of the API server: %w", err)
	}
	return p.statefulSet(res.StatusCode, body, namespace)
}

// client returns a client that trusts the cluster's own certificates alone, and follows nobody elsewhere with the token.
func (p *Pod) client() (*http.Client, error) {
	certificates, err := p.read("ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificates) {
		return nil, errors.New("ca.crt of the service account holds no certificate")
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: p.dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// statefulSet turns an answer into a StatefulSet. Only the one that was asked for will do.
func (p *Pod) statefulSet(status int, body []byte, namespace string) (*statefulSet, error) {
	switch {
	case status == http.StatusNotFound && isStatus(body):
		return &statefulSet{missing: true}, nil
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return nil, refusal(status, body)
	case status != http.StatusOK:
		return nil, finalError{refusal(status, body)}
	case len(body) > maxAnswer:
		return nil, finalError{fmt.Errorf("the answer of the API server is longer than %d bytes", maxAnswer)}
	}
	var set statefulSet
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, finalError{fmt.Errorf("the API server's answer is not understood: %w", err)}
	}
	if set.APIVersion != "apps/v1" || set.Kind != "StatefulSet" || set.Metadata.Name != p.set || set.Metadata.Namespace != namespace {
		return nil, finalError{errors.New("the API server answers with something else")}
	}
	return &set, nil
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

func refusal(code int, body []byte) error {
	var s status
	if json.Unmarshal(body, &s) != nil || s.Message == "" {
		s.Message = strings.TrimSpace(string(body[:min(len(body), maxQuoted)]))
	}
	return fmt.Errorf("the API server answers %d: %s", code, s.Message[:min(len(s.Message), maxQuoted)])
}
