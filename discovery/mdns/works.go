package mdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	netv4 "golang.org/x/net/ipv4"
	netv6 "golang.org/x/net/ipv6"
)

const (
	// echoTime is how long what was sent to the group may take to come back; it does not leave the machine.
	echoTime = time.Second
	// mdnsPort is that of multicast DNS (RFC 6762).
	mdnsPort = 5353
)

// network returns what Go's net package calls UDP over a family, and the group of multicast DNS there (RFC 6762).
func (f family) network() (name string, group net.IP) {
	if f == ipv4 {
		return "udp4", net.IPv4(224, 0, 0, 251)
	}
	return "udp6", net.ParseIP("ff02::fb")
}

// Works returns nil where what is sent to the group of mDNS comes back to this machine by an interface that leads to others, which it does unless something drops it. Otherwise the error says what happened at each.
// Whether others let it in can't be told from here. It takes a second at most.
func Works(ctx context.Context) error {
	interfaces, err := multicast{}.Interfaces()
	if err != nil {
		return err
	}
	interfaces = slices.DeleteFunc(interfaces, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 })
	if len(interfaces) == 0 {
		return errors.New("no interface but the loopback is up, has an address and can multicast")
	}
	families := []family{ipv4, ipv6}
	outcomes := make(chan error)
	for _, i := range interfaces {
		for _, family := range families {
			go func() { outcomes <- echo(ctx, i, family) }()
		}
	}
	var failed []string
	works := false
	for range len(interfaces) * len(families) {
		if err := <-outcomes; err == nil {
			works = true
		} else {
			failed = append(failed, err.Error())
		}
	}
	if works {
		return nil
	}
	slices.Sort(failed)
	return errors.New(strings.Join(failed, ", "))
}

// echo sends a message to the group by an interface, and waits until it has come back.
func echo(ctx context.Context, i net.Interface, f family) error {
	network, ip := f.network()
	group := &net.UDPAddr{IP: ip, Port: mdnsPort}
	if f == ipv6 {
		group.Zone = i.Name
	}
	fail := func(err error) error {
		if op, is := errors.AsType[*net.OpError](err); is { // whose addresses say nothing more
			err = op.Err
		}
		return fmt.Errorf("%s by %s: %w", group, i.Name, err)
	}
	listener, err := net.ListenMulticastUDP(network, &i, group)
	if err != nil {
		return fail(err)
	}
	defer listener.Close()
	sender, err := sendBy(i, f)
	if err != nil {
		return fail(err)
	}
	defer sender.Close()
	question := make([]byte, 12) // a DNS message that asks nothing (RFC 1035, section 4.1.1)
	if _, err := sender.WriteToUDP(question, group); err != nil {
		return fail(err)
	}
	if err := listener.SetReadDeadline(time.Now().Add(echoTime)); err != nil {
		return fail(err)
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	port := sender.LocalAddr().(*net.UDPAddr).Port
	buffer := make([]byte, 64)
	for {
		_, from, err := listener.ReadFromUDP(buffer)
		switch {
		case err != nil && ctx.Err() != nil:
			return fail(ctx.Err())
		case err != nil:
			return fail(errors.New("what is sent is not delivered, as where a firewall drops UDP to port 5353"))
		case from.Port == port:
			return nil
		}
	}
}

// sendBy returns a socket whose multicast leaves by an interface, and comes back.
func sendBy(i net.Interface, f family) (*net.UDPConn, error) {
	network, _ := f.network()
	conn, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, err
	}
	if f == ipv4 {
		p := netv4.NewPacketConn(conn)
		err = errors.Join(p.SetMulticastInterface(&i), p.SetMulticastLoopback(true))
	} else {
		p := netv6.NewPacketConn(conn)
		err = errors.Join(p.SetMulticastInterface(&i), p.SetMulticastLoopback(true))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
