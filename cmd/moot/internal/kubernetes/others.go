package kubernetes

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// peerPort is the name of the port at which a node listens for others, in the pods of a chart.
	peerPort = "moot"
	// reachTimeout bounds how long pods are tried.
	reachTimeout = 2 * time.Second
	// maxOthers bounds how many pods are tried.
	maxOthers = 256
	// homeless is what a pod without a home says to whoever connects to the port of its node. It must not change: pods of two versions may meet.
	homeless = "moot: this pod has no home yet\n"
	// sayTimeout bounds the saying of it.
	sayTimeout = time.Second
)

// Others is what is known of the other pods of a StatefulSet.
type Others struct {
	// Running is a pod whose node runs, which has a home therefore, or how many are ready; empty: none.
	Running string
	// Silent is a pod that is to be there and has not said that it has no home: it may have one; empty: there is none such.
	Silent string
}

// AskOthers asks the other pods of the StatefulSet, as many as it is to have, whether they have a home. It is fault.Unavailable when the StatefulSet could not be asked for within askTimeout.
func (p *Pod) AskOthers(ctx context.Context) (o Others, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	set, err := p.statefulSet(ctx)
	if err != nil {
		return o, fault.New(fault.Unavailable, "StatefulSet %s can't be asked for: %w", p.set, err)
	}
	o = p.ask(ctx, set.others(p))
	if n := set.ready(); o.Running == "" && n > 0 { // this one is not: its node has not begun
		o.Running = fmt.Sprintf("one of %d pods of StatefulSet %s that are ready", n, p.set)
	}
	return o, nil
}

// SayHomeless has this pod say to whoever asks that it has no home, until stop is called. Where the StatefulSet names no port for its nodes nothing is said, and nobody asks.
func (p *Pod) SayHomeless(ctx context.Context) (stop func(), err error) {
	once, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	set, err := p.statefulSet(once)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "StatefulSet %s can't be asked for: %w", p.set, err)
	}
	port := set.peerPort()
	if port == 0 {
		return func() {}, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("say that this pod has no home: %w", err)
	}
	var saying sync.WaitGroup
	saying.Go(func() { sayHomeless(l) })
	return func() {
		_ = l.Close()
		saying.Wait()
	}, nil
}

// sayHomeless answers until the listener closes. What is said fits every connection's buffer, so that nobody holds up the next one.
func sayHomeless(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.SetWriteDeadline(time.Now().Add(sayTimeout))
		_, _ = io.WriteString(conn, homeless)
		_ = conn.Close()
	}
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

// ask asks pods, all at once.
func (p *Pod) ask(ctx context.Context, list []podAddress) (o Others) {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	reach := p.reach
	if reach == nil {
		reach = new(net.Dialer).DialContext
	}
	answers := make([]answer, len(list))
	var all sync.WaitGroup
	for i, one := range list {
		all.Go(func() { answers[i] = askPod(ctx, reach, one.address) })
	}
	all.Wait()
	for i, one := range list {
		switch {
		case answers[i] == runs && o.Running == "":
			o.Running = "pod " + one.pod
		case answers[i] == saysNothing && o.Silent == "":
			o.Silent = "pod " + one.pod
		}
	}
	return o
}

// answer is what a pod says.
type answer int

const (
	saysNothing answer = iota
	runs
	hasNoHome
)

// askPod asks one. Whoever takes the connection and says something else, or nothing, is a node.
func askPod(ctx context.Context, reach func(ctx context.Context, network, addr string) (net.Conn, error), address string) answer {
	conn, err := reach(ctx, "tcp", address)
	if err != nil {
		return saysNothing
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(sayTimeout))
	said := make([]byte, len(homeless))
	if _, err := io.ReadFull(conn, said); err == nil && string(said) == homeless {
		return hasNoHome
	}
	return runs
}
