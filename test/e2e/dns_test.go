//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/folkmoot/folkmoot/test/netns"
)

// followPromise is how soon a peer is found again after its name got another address.
const followPromise = 10 * time.Second

// TestDNS has pods behind one name, as a headless Service of Kubernetes has. One of them comes back with another address.
func TestDNS(t *testing.T) {
	const name = "moot.test"
	lab := newLab(t)
	link := newLink(t, lab, "link")
	resolver := newHost(t, lab, "dns", link)
	hosts := []*netns.Host{newHost(t, lab, "a", link), newHost(t, lab, "b", link), newHost(t, lab, "c", link)}
	server := serveDNS(t, resolver, name)
	publish := func() {
		var addrs []netip.Addr
		for _, h := range hosts {
			addrs = append(addrs, h.Addrs(link).V4.Addr(), h.Addrs(link).V6.Addr())
		}
		server.publish(addrs)
	}
	publish()
	for _, h := range hosts {
		check(t, h.Resolver(resolver.Addrs(link).V4.Addr()))
	}

	a := newPeer(t, hosts[0], "a", "--mdns=false", "--dns", name).start()
	b := newPeer(t, hosts[1], "b", "--mdns=false", "--dns", name).start()
	c := newPeer(t, hosts[2], "c", "--mdns=false").start() // found by the others alone
	meet(t, a, b, c)
	if !foundBy(a, c, "dns") && !foundBy(b, c, "dns") { // the other may have heard of it first
		t.Errorf("a found c by %v and b by %v, want dns", a.peers()[c.id].FoundBy, b.peers()[c.id].FoundBy)
	}

	// The pod moves: a new address, and nothing by which it could find the others.
	check(t, c.Kill())
	check(t, os.RemoveAll(filepath.Join(c.Home, "peers.json")))
	_, err := hosts[2].Renumber(link)
	check(t, err)
	c.start()
	publish()
	moved := time.Now()
	address := fmt.Sprint(hosts[2].Addrs(link).V4.Addr())
	for _, p := range []*peer{a, b} {
		p.sees(c, moved, followPromise, "alive")
		eventually(t, time.Until(moved.Add(followPromise)), func() error {
			if known := p.peers()[c.id].Addresses; !slices.ContainsFunc(known, func(a string) bool { return strings.Contains(a, "/"+address+"/") }) {
				return fmt.Errorf("%s knows c at %v, want %s", p.name, known, address)
			}
			return nil
		})
		t.Logf("%s follows c after %v", p.name, time.Since(moved).Round(10*time.Millisecond))
	}
}

// A dnsServer answers for one name.
type dnsServer struct {
	name dnsmessage.Name

	mu    sync.Mutex
	addrs []netip.Addr // guarded by mu
}

// serveDNS answers on the host's port 53 until the test ends.
func serveDNS(t *testing.T, host *netns.Host, name string) *dnsServer {
	t.Helper()
	s := &dnsServer{name: dnsmessage.MustNewName(name + ".")}
	var conn *net.UDPConn
	check(t, host.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", &net.UDPAddr{Port: 53})
		return err
	}))
	var serving sync.WaitGroup
	serving.Go(func() { s.serve(t, conn) })
	t.Cleanup(func() {
		check(t, conn.Close())
		serving.Wait()
	})
	return s
}

func (s *dnsServer) publish(addrs []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs = addrs
}

func (s *dnsServer) serve(t *testing.T, conn *net.UDPConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("DNS server: %v", err)
			return
		}
		answer, err := s.answer(buf[:n])
		if err != nil {
			t.Errorf("DNS server: %v", err)
			continue
		}
		if _, err := conn.WriteToUDPAddrPort(answer, from); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("DNS server: %v", err)
		}
	}
}

// answer answers a query: A and AAAA of the name, nothing else of it, and no other name.
func (s *dnsServer) answer(query []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired},
		Questions: []dnsmessage.Question{question},
	}
	if !strings.EqualFold(question.Name.String(), s.name.String()) {
		reply.RCode = dnsmessage.RCodeNameError
		return reply.Pack()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, addr := range s.addrs {
		resource := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: dnsmessage.ClassINET, TTL: 1}}
		switch {
		case question.Type == dnsmessage.TypeA && addr.Is4():
			resource.Body = &dnsmessage.AResource{A: addr.As4()}
		case question.Type == dnsmessage.TypeAAAA && addr.Is6():
			resource.Body = &dnsmessage.AAAAResource{AAAA: addr.As16()}
		default:
			continue
		}
		reply.Answers = append(reply.Answers, resource)
	}
	return reply.Pack()
}
