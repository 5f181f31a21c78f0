//go:build linux

package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A Link is an Ethernet segment: a bridge. Its subnets are 10.77.N.0/24, or 20.77.N.0/24 where its addresses are to look public, and fd77:N::/64.
type Link struct {
	lab       *Lab
	namespace string
	number    int
	first     int // byte of its IPv4 addresses

	mu    sync.Mutex
	hosts int // guarded by mu; how many addresses were given out
	parts int // guarded by mu; how many bridges there are beside the first
}

// Link makes a link with private addresses.
func (l *Lab) Link(name string) (*Link, error) { return l.link(name, 10) }

// PublicLink makes a link whose IPv4 addresses are of a public range: programs treat them as such, though nothing leaves the lab.
func (l *Lab) PublicLink(name string) (*Link, error) { return l.link(name, 20) }

func (l *Lab) link(name string, first int) (*Link, error) {
	l.mu.Lock()
	l.links++
	number := l.links
	l.mu.Unlock()
	if number > maxLinks {
		return nil, fmt.Errorf("a lab has at most %d links", maxLinks)
	}
	namespace, err := l.namespace("link-" + name)
	if err != nil {
		return nil, err
	}
	k := &Link{lab: l, namespace: namespace, number: number, first: first}
	return k, k.bridge("bridge")
}

// bridge makes a bridge in the link's namespace.
func (k *Link) bridge(name string) error {
	// Without snooping the bridge floods multicast to every port, as a plain switch does.
	if err := ip("-n", k.namespace, "link", "add", name, "type", "bridge", "mcast_snooping", "0"); err != nil {
		return err
	}
	return ip("-n", k.namespace, "link", "set", name, "up")
}

// next returns the addresses of the next interface on the link.
func (k *Link) next() Addrs {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hosts++
	return Addrs{
		V4: netip.MustParsePrefix(fmt.Sprintf("%d.77.%d.%d/24", k.first, k.number, k.hosts)),
		V6: netip.MustParsePrefix(fmt.Sprintf("fd77:%x::%x/64", k.number, k.hosts)),
	}
}

// Addrs are an interface's addresses with the length of their subnets.
type Addrs struct {
	V4, V6 netip.Prefix
}

// A Host is a network namespace with interfaces on links.
type Host struct {
	// Name is the namespace's, as the ip program knows it.
	Name string

	lab        *Lab
	interfaces map[*Link]string
	addrs      map[*Link]Addrs
	loses      bool // packets, see Lose
}

// Host makes a host that has a loopback interface alone.
func (l *Lab) Host(name string) (*Host, error) {
	namespace, err := l.namespace(name)
	if err != nil {
		return nil, err
	}
	return l.Adopt(namespace), nil
}

// Adopt makes a namespace that is there a host, which can be attached to the lab's links. It stays when the lab is closed; its interfaces on the links go with them.
func (l *Lab) Adopt(namespace string) *Host {
	return &Host{Name: namespace, lab: l, interfaces: map[*Link]string{}, addrs: map[*Link]Addrs{}}
}

// Attach gives the host an interface on the link with addresses of its own.
func (h *Host) Attach(link *Link) (Addrs, error) {
	name := h.lab.nextInterface()
	// Without duplicate detection an IPv6 address can be used at once.
	if err := h.sysctl("net.ipv6.conf.default.accept_dad", "0"); err != nil {
		return Addrs{}, err
	}
	addrs := link.next()
	for _, args := range [][]string{
		{"-n", h.Name, "link", "add", name, "type", "veth", "peer", "name", name, "netns", link.namespace},
		{"-n", link.namespace, "link", "set", name, "master", "bridge", "up"},
		{"-n", h.Name, "address", "add", addrs.V4.String(), "dev", name},
		{"-n", h.Name, "address", "add", addrs.V6.String(), "dev", name, "nodad"},
		{"-n", h.Name, "link", "set", name, "up", "multicast", "on"},
	} {
		if err := ip(args...); err != nil {
			return Addrs{}, err
		}
	}
	h.interfaces[link], h.addrs[link] = name, addrs
	return addrs, nil
}

// Addrs returns the host's addresses on a link that it is attached to.
func (h *Host) Addrs(link *Link) Addrs { return h.addrs[link] }

// Renumber replaces the host's addresses on the link by fresh ones; what was bound to the old ones is cut off. Routes
// through gateways are lost with the old addresses.
func (h *Host) Renumber(link *Link) (Addrs, error) {
	name, ok := h.interfaces[link]
	if !ok {
		return Addrs{}, fmt.Errorf("%s is not attached to link %d", h.Name, link.number)
	}
	addrs := link.next()
	for _, args := range [][]string{
		{"-n", h.Name, "address", "flush", "dev", name, "scope", "global"},
		{"-n", h.Name, "address", "add", addrs.V4.String(), "dev", name},
		{"-n", h.Name, "address", "add", addrs.V6.String(), "dev", name, "nodad"},
	} {
		if err := ip(args...); err != nil {
			return Addrs{}, err
		}
	}
	h.addrs[link] = addrs
	return addrs, nil
}

// Forward makes the host a router: it passes packets on between its links. Multicast stays on its link.
func (h *Host) Forward() error {
	if err := h.sysctl("net.ipv4.ip_forward", "1"); err != nil {
		return err
	}
	return h.sysctl("net.ipv6.conf.all.forwarding", "1")
}

// Gateway makes router, which is on link too, the way to everywhere else.
func (h *Host) Gateway(router *Host, link *Link) error {
	via, ok := router.addrs[link]
	if !ok {
		return fmt.Errorf("%s is not attached to link %d", router.Name, link.number)
	}
	if err := ip("-n", h.Name, "route", "replace", "default", "via", via.V4.Addr().String()); err != nil {
		return err
	}
	return ip("-n", h.Name, "-6", "route", "replace", "default", "via", via.V6.Addr().String())
}

func (h *Host) sysctl(name, value string) error {
	return h.Do(func() error {
		// /proc/sys/net shows the namespace of the thread that opens it.
		file := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
		return os.WriteFile(file, []byte(value), 0o644)
	})
}

// Resolver makes programs that Command starts ask the DNS server at addr, port 53.
func (h *Host) Resolver(addr netip.Addr) error {
	if err := os.MkdirAll(configDir(h.Name), 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf("nameserver %s\noptions timeout:1 attempts:2\n", addr)
	return os.WriteFile(filepath.Join(configDir(h.Name), "resolv.conf"), []byte(text), 0o644)
}

// configDir is the folder whose files ip netns exec shows in place of those in /etc.
func configDir(namespace string) string { return filepath.Join("/etc/netns", namespace) }

// Command returns a command that runs a program on the host. The process started is the program itself: its id and its
// signals are the program's.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.Name, name}, args...)...)
}

// Do runs f on a thread that is in the host's namespace. Sockets that f itself makes, rather than goroutines that it starts,
// belong to the namespace for as long as they live.
func (h *Host) Do(f func() error) error { return Do(h.Name, f) }

// Do is Host.Do for a namespace that need not be of a lab, by the name that the ip program gave it.
func Do(namespace string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- onOtherThread(func() error { return enter(namespace, f) }) }()
	return <-done
}

// onOtherThread runs f on a thread that nothing else runs on any more, and that is not the first one of the process: what /proc says of a process is what its first thread
// is, so that the whole process would pass for one of the namespace, and be ended with it.
func onOtherThread(f func() error) error {
	// The thread is never unlocked: it ends with the goroutine, so that no other one runs in the wrong namespace.
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		return f()
	}
	defer runtime.UnlockOSThread()
	done := make(chan error, 1)
	go func() { done <- onOtherThread(f) }() // not here, since this thread is taken
	return <-done
}

func enter(namespace string, f func() error) error {
	fd, err := unix.Open(filepath.Join("/run/netns", namespace), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the namespace %s: %w", namespace, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the namespace %s: %w", namespace, err)
	}
	return f()
}

// DialContext connects from the host; addr holds an IP address, not a name.
func (h *Host) DialContext(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = h.Do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}
