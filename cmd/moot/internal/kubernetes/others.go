package kubernetes

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// peerPort is the name of the port at which a node listens for others, in the pods of a chart.
	peerPort = "moot"
	// reachTimeout bounds how long a pod is tried.
	reachTimeout = 2 * time.Second
	// maxOthers bounds how many pods are tried.
	maxOthers = 256
)

// OtherRuns returns a pod of the StatefulSet, other than this one, whose node runs, or says how many do; empty: none does, as far as can be told. A node runs only once its home is one of a network. It is fault.Unavailable when
// the StatefulSet could not be asked for within askTimeout.
func (p *Pod) OtherRuns(ctx context.Context) (who string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	set, err := p.statefulSet(ctx)
	if err != nil {
		return "", fault.New(fault.Unavailable, "StatefulSet %s can't be asked for: %w", p.set, err)
	}
	if who := p.reachable(ctx, set.others(p)); who != "" {
		return who, nil
	}
	if n := set.ready(); n > 0 { // this one is not: its node has not begun
		return fmt.Sprintf("one of %d pods of StatefulSet %s that are ready", n, p.set), nil
	}
	return "", nil
}

// podAddress is where a pod's node listens.
type podAddress struct{ pod, address string }

// others returns where the other pods are to be found, by the names that the StatefulSet's Service gives them.
func (s *statefulSet) others(p *Pod) (list []podAddress) {
	port := s.peerPort()
	if s.Spec.ServiceName == "" || port == 0 || s.Spec.Replicas == nil {
		return nil
	}
	first := int64(0)
	if s.Spec.Ordinals != nil {
		first = int64(s.Spec.Ordinals.Start)
	}
	for i := range min(int64(*s.Spec.Replicas), maxOthers) {
		if first+i == p.ordinal {
			continue
		}
		pod := fmt.Sprintf("%s-%d", p.set, first+i)
		list = append(list, podAddress{pod, net.JoinHostPort(fmt.Sprintf("%s.%s.%s.svc", pod, s.Spec.ServiceName, s.Metadata.Namespace), strconv.Itoa(int(port)))})
	}
	return list
}

// peerPort returns the port at which the pods' nodes listen for others; 0: it has another name.
func (s *statefulSet) peerPort() int32 {
	for _, c := range s.Spec.Template.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == peerPort {
				return port.ContainerPort
			}
		}
	}
	return 0
}

// reachable returns a pod that takes a connection, or nothing.
func (p *Pod) reachable(ctx context.Context, list []podAddress) (who string) {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	reach := p.reach
	if reach == nil {
		reach = new(net.Dialer).DialContext
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, one := range list {
		all.Go(func() {
			conn, err := reach(ctx, "tcp", one.address)
			if err != nil {
				return
			}
			_ = conn.Close()
			mu.Lock()
			defer mu.Unlock()
			who = "pod " + one.pod
			cancel() // one is enough
		})
	}
	all.Wait()
	return who
}
