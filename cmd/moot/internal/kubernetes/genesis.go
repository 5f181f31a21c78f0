package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/folkmoot/folkmoot/fault"
)

// genesisKey is the key in a ConfigMap under which a genesis document is.
const genesisKey = "genesis.json"

// configMap is what matters of a ConfigMap (v1).
type configMap struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   configMapMetadata `json:"metadata"`
	// Immutable ones are refused changes by the API server, whoever asks.
	Immutable bool              `json:"immutable"`
	Data      map[string]string `json:"data"`
}

type configMapMetadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels,omitempty"`
	Owners    []owner           `json:"ownerReferences,omitempty"`
}

// owner is an object that another goes with when it is deleted (meta/v1).
type owner struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
}

// CheckName is fault.Invalid when no object can have the name.
func CheckName(name string) error {
	if !isName(name) {
		return fault.New(fault.Invalid, "%q is no name of a ConfigMap: want up to %d small letters, digits, dashes and dots", name, maxName)
	}
	return nil
}

// Genesis returns the genesis document in a ConfigMap of the pod's namespace. It is fault.NotFound where there is no such ConfigMap, and fault.Unavailable when that can't be told within askTimeout.
func (c *Cluster) Genesis(ctx context.Context, name string) (document []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err = c.insist(ctx, func(ctx context.Context) error {
		namespace, err := c.namespace()
		if err != nil {
			return err
		}
		status, body, err := c.call(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/configmaps/"+name, nil)
		switch {
		case err != nil:
			return err
		case status == http.StatusNotFound && isStatus(body):
			return finalError{fault.New(fault.NotFound, "there is none")}
		case status != http.StatusOK:
			return refused(status, body)
		}
		document, err = genesisOf(body, name, namespace)
		return err
	})
	return document, configMapError(name, err)
}

// genesisOf takes the genesis document out of an answer. Only the ConfigMap that was asked for will do.
func genesisOf(body []byte, name, namespace string) ([]byte, error) {
	var m configMap
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, finalError{fmt.Errorf("the API server's answer is not understood: %w", err)}
	}
	if m.APIVersion != "v1" || m.Kind != "ConfigMap" || m.Metadata.Name != name || m.Metadata.Namespace != namespace {
		return nil, finalError{errors.New("the API server answers with something else")}
	}
	text, ok := m.Data[genesisKey]
	if !ok {
		return nil, finalError{fault.New(fault.Invalid, "it has no %s", genesisKey)}
	}
	return []byte(text), nil
}

// configMapError says what an error is about, and gives it a kind unless it has one.
func configMapError(name string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("ConfigMap %s: %w", name, err)
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return fault.As(fault.Unavailable, err)
}

// CreateGenesis makes a ConfigMap with a genesis document, which nobody changes any more. It is fault.Conflict where there is one of that name, whatever is in it: of those that try at once one succeeds. The
// ConfigMap stays when the release is uninstalled, as the volumes do; where the StatefulSet's volumes go with it, the ConfigMap does, too.
func (p *Pod) CreateGenesis(ctx context.Context, name string, document []byte) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	set, err := p.statefulSet(ctx)
	if err == nil && set.missing {
		err = fmt.Errorf("StatefulSet %s does not exist", p.set)
	}
	if err != nil {
		return configMapError(name, err)
	}
	m := configMap{APIVersion: "v1", Kind: "ConfigMap", Immutable: true, Data: map[string]string{genesisKey: string(document)}}
	m.Metadata = configMapMetadata{Name: name, Namespace: set.Metadata.Namespace, Labels: genesisLabels(set)}
	if set.Spec.Retention != nil && set.Spec.Retention.WhenDeleted == "Delete" {
		m.Metadata.Owners = []owner{{set.APIVersion, set.Kind, set.Metadata.Name, set.Metadata.UID}}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return configMapError(name, p.insist(ctx, func(ctx context.Context) error {
		status, answer, err := p.call(ctx, http.MethodPost, "/api/v1/namespaces/"+m.Metadata.Namespace+"/configmaps", body)
		switch {
		case err != nil:
			return err
		case status == http.StatusConflict && isStatus(answer):
			return finalError{fault.New(fault.Conflict, "it is there already")}
		case status != http.StatusCreated:
			return refused(status, answer)
		}
		return nil
	}))
}

// genesisLabels returns the labels by which people find what belongs to a release: those of its StatefulSet that say whose it is.
func genesisLabels(set *statefulSet) map[string]string {
	labels := map[string]string{"app.kubernetes.io/component": "genesis"}
	for _, name := range []string{"app.kubernetes.io/name", "app.kubernetes.io/instance"} {
		if value, ok := set.Metadata.Labels[name]; ok {
			labels[name] = value
		}
	}
	return labels
}
