package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/folkmoot/folkmoot/fault"
)

// ScaledAway tells whether the pod is beyond the number of replicas that its StatefulSet is to have, so that it does not come back, and why. It is false whenever there is any
// doubt: where the StatefulSet is gone, is being deleted, is to have no replicas at all, or could not be asked for within askTimeout.
func (p *Pod) ScaledAway(ctx context.Context) (away bool, reason string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	set, err := p.statefulSet(ctx)
	if err != nil {
		return false, fmt.Sprintf("StatefulSet %s can't be asked for: %v", p.set, err)
	}
	return set.scaledAway(p)
}

// Replicas returns how many pods the pod's StatefulSet is to have. It is fault.Unavailable where that can't be told: the StatefulSet could not be asked for within askTimeout, is gone or going, or is to have none
// at all, which is no number that anything should be changed for.
func (p *Pod) Replicas(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	set, err := p.statefulSet(ctx)
	switch {
	case err != nil:
		return 0, fault.New(fault.Unavailable, "StatefulSet %s can't be asked for: %w", p.set, err)
	case set.missing || set.Metadata.DeletionTimestamp != "":
		return 0, fault.New(fault.Unavailable, "StatefulSet %s does not exist any more, or is being deleted", p.set)
	case set.Spec.Replicas == nil || *set.Spec.Replicas < 1:
		return 0, fault.New(fault.Unavailable, "StatefulSet %s is to have no replicas", p.set)
	}
	return int(*set.Spec.Replicas), nil
}

// statefulSet is what matters of a StatefulSet (apps/v1).
type statefulSet struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name              string            `json:"name"`
		Namespace         string            `json:"namespace"`
		UID               string            `json:"uid"`
		DeletionTimestamp string            `json:"deletionTimestamp"`
		Labels            map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Replicas *int32 `json:"replicas"`
		Ordinals *struct {
			Start int32 `json:"start"`
		} `json:"ordinals"`
		Retention *struct {
			WhenDeleted string `json:"whenDeleted"`
		} `json:"persistentVolumeClaimRetentionPolicy"`
		ServiceName string `json:"serviceName"`
		Template    struct {
			Spec struct {
				Containers []struct {
					Ports []struct {
						Name          string `json:"name"`
						ContainerPort int32  `json:"containerPort"`
					} `json:"ports"`
				} `json:"containers"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
	Status json.RawMessage `json:"status"` // of other objects it is something else

	missing bool // there is none
}

// ready returns how many pods are ready, as far as the StatefulSet says.
func (s *statefulSet) ready() int32 {
	var status struct {
		ReadyReplicas int32 `json:"readyReplicas"`
	}
	_ = json.Unmarshal(s.Status, &status) // what says nothing says that none is
	return status.ReadyReplicas
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

// statefulSet gets the pod's StatefulSet. Only the one that was asked for will do.
func (p *Pod) statefulSet(ctx context.Context) (*statefulSet, error) {
	var set statefulSet
	err := p.insist(ctx, func(ctx context.Context) error {
		set = statefulSet{}
		namespace, err := p.namespace()
		if err != nil {
			return err
		}
		status, body, err := p.call(ctx, http.MethodGet, "/apis/apps/v1/namespaces/"+namespace+"/statefulsets/"+p.set, nil)
		switch {
		case err != nil:
			return err
		case status == http.StatusNotFound && isStatus(body):
			set.missing = true
			return nil
		case status != http.StatusOK:
			return refused(status, body)
		}
		if err := json.Unmarshal(body, &set); err != nil {
			return finalError{fmt.Errorf("the API server's answer is not understood: %w", err)}
		}
		if set.APIVersion != "apps/v1" || set.Kind != "StatefulSet" || set.Metadata.Name != p.set || set.Metadata.Namespace != namespace {
			return finalError{errors.New("the API server answers with something else")}
		}
		return nil
	})
	return &set, err
}
