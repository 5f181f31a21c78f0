package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// healthy are facts in which nothing is wrong.
func healthy() *facts {
	return &facts{
		alive: 3, reachability: &v1.Reachability{State: "reachable"}, sync: time.Millisecond, free: 50 << 30, total: 100 << 30, quota: 1 << 30, used: 1 << 20,
		files: 100, limit: 65536, quic: true, udpBuffer: wantedUDPBuffer, standing: v1.Standing{Full: 10, Complete: true}, power: 4, voted: 4, version: "1.0.0", versions: map[string]int{"1.0.0": 3},
	}
}

// TestFindings provokes each finding.
func TestFindings(t *testing.T) {
	if d := diagnose(healthy()); !d.Healthy || len(d.Findings) > 0 {
		t.Errorf("of what is well: %+v", d)
	}
	partial := healthy()
	partial.standing.Complete = false // of a large network, of which a node sees a part
	if d := diagnose(partial); len(d.Findings) > 0 {
		t.Errorf("of a part of a network: %+v", d)
	}
	const address = "/ip4/192.0.2.1/tcp/4242"
	at := func(e entrance) func(*facts) {
		return func(f *facts) { f.alive, f.bootstrap = 0, map[string]entrance{address: e} }
	}
	for _, tt := range []struct {
		name, check, severity, summary, command string
		change                                  func(*facts)
	}{
		{"a peer that is late", "peers", "warning", "1 peer has not answered lately: x", "moot ping x", func(f *facts) { f.suspects, f.suspect = 1, []string{"x"} }},
		{"many that are late", "peers", "warning", "20 peers have not answered lately: x, y, …", "moot ping x", func(f *facts) { f.suspects, f.suspect = 20, []string{"x", "y"} }},
		{"a peer that died", "peers", "warning", "1 peer has died: x;", "moot peers", func(f *facts) { f.dead, f.standing.Missing = []string{"x"}, []string{"x"} }},
		{"many that died", "peers", "warning", "20 peers have died: x, x, x, x, x, x, x, x, …", "moot peers", func(f *facts) { f.dead = slices.Repeat([]string{"x"}, 20) }},
		{"nobody was named", "peers", "warning", "no address of another was named", "--bootstrap", func(f *facts) { f.alive = 0 }},
		{"nobody is met", "peers", "problem", "are good, and nobody is known yet", "--log-level debug", at(entranceOpen)},
		{"the port is closed", "peers", "problem", "nobody listens at " + address, "moot status", at(entranceRefused)},
		{"a firewall", "peers", "problem", address + " does not answer: a firewall", "port 4242", at(entranceSilent)},
		{"a NetworkPolicy", "peers", "problem", "a NetworkPolicy drops the packets", "kubectl get networkpolicies", func(f *facts) { at(entranceSilent)(f); f.kubernetes = true }},
		{"another network", "peers", "problem", "is of another network", "moot status", at(entranceForeign)},
		{"something else", "peers", "problem", address + ": why", "--log-level debug", func(f *facts) {
			at(entranceFailed)(f)
			f.failures = map[string]error{address: errors.New("why")}
		}},
		{"a name without addresses", "peers", "problem", "the name x.invalid:4242 has no addresses", "dig +short x.invalid", func(f *facts) {
			f.alive, f.names = 0, map[string]error{"x.invalid:4242": fault.New(fault.NotFound, "none")}
		}},
		{"a name that nobody tells of", "peers", "problem", "the name x.invalid can't be looked up: no answer", "dig +short x.invalid", func(f *facts) { f.alive, f.names = 0, map[string]error{"x.invalid": errors.New("no answer")} }},
		{"a name of this node alone", "peers", "warning", "the name x.test leads to this node alone", "dig +short x.test", func(f *facts) {
			f.alive, f.names, f.bootstrap = 0, map[string]error{"x.test": errOnlySelf}, map[string]entrance{address + " (of x.test)": entranceSelf}
		}},
		{"this node itself", "peers", "problem", address + " is this node itself", "--bootstrap", at(entranceSelf)},
		{"no answer over UDP", "peers", "problem", "nobody listens there, a firewall", "port 4242", at(entranceUnheard)},
		{"no multicast", "peers", "warning", "multicast does not work", "--bootstrap", func(f *facts) { f.alive, f.mdns, f.multicast = 0, true, errors.New("blocked") }},
		{"not reachable", "reachability", "problem", "no relay is found", "--announce", func(f *facts) { f.reachability.State = "unreachable" }},
		{"reached through a relay", "reachability", "warning", "through 1 relay;", "--announce", func(f *facts) { f.reachability.State, f.reachability.Relays = "unreachable", []string{"r"} }},
		{"the clock", "clock", "problem", "clock is 1m0s behind", "timedatectl", func(f *facts) { f.behind = time.Minute }},
		{"the clock of a node that nobody writes to", "clock", "problem", "clock is 1m0s behind", "timedatectl", func(f *facts) { f.ahead, f.clocks = -time.Minute, 3 }},
		{"a clock ahead", "clock", "problem", "clock is 1m0s ahead of others' (3 were compared)", "timedatectl", func(f *facts) { f.ahead, f.clocks = time.Minute, 3 }},
		{"the other of two clocks", "clock", "problem", "clock is 1m0s behind the only other one", "timedatectl", func(f *facts) { f.ahead, f.clocks = -time.Minute, 1 }},
		{"one of two clocks", "clock", "problem", "clock is 1m0s ahead of the only other one", "timedatectl", func(f *facts) { f.ahead, f.clocks = time.Minute, 1 }},
		{"a slow disk", "disk", "warning", "takes 80ms to sync", "iostat", func(f *facts) { f.sync = 80 * time.Millisecond }},
		{"a disk that fails", "disk", "problem", "can't be written to: read-only", "df -h", func(f *facts) { f.syncErr = errors.New("read-only") }},
		{"a disk without inodes", "disk", "problem", "its inodes are used up", "df -i", func(f *facts) { f.syncErr = fmt.Errorf("create: %w", syscall.ENOSPC) }},
		{"a disk that fills up", "disk", "warning", "filling up", "df -h", func(f *facts) { f.free = 9 << 30 }},
		{"a full disk", "disk", "problem", "nearly full: 100 MiB", "df -h", func(f *facts) { f.free = 100 << 20 }},
		{"a quota", "disk", "problem", "of a quota of 1024", "--quota", func(f *facts) { f.used = 1000 << 20 }},
		{"many files", "files", "problem", "60000 of 65536", "ulimit", func(f *facts) { f.files = 60000 }},
		{"few files", "files", "warning", "may open 256 files", "ulimit", func(f *facts) { f.limit = 256 }},
		{"small buffers", "udp", "warning", "buffers of 208 KiB", "sysctl -w net.core.rmem_max=7340032", func(f *facts) { f.udpBuffer = 208 << 10 }},
		{"nobody tells of records", "records", "problem", "can't be told: why", "moot status", func(f *facts) { f.standingErr = errors.New("why") }},
		{"records below", "records", "warning", "7 records have fewer copies", "moot status", func(f *facts) { f.standing.Below = 7 }},
		{"records out of reach", "records", "problem", "7 records can't be read", "moot peers", func(f *facts) { f.standing.Unreachable = 7 }},
		{"a peer that tells nothing", "records", "warning", "1 peer did not say", "moot peers", func(f *facts) { f.standing.Complete, f.standing.Missing = false, []string{"x"} }},
		{"many that tell nothing", "records", "warning", "20 peers did not say how their records fare: x, x, x, x, x, x, x, x, …", "moot peers", func(f *facts) { f.standing.Missing = slices.Repeat([]string{"x"}, 20) }},
		{"the ledger", "ledger", "problem", "no block for 9s", "moot ledger status", func(f *facts) { f.ledgerProblem = "no block for 9s" }},
		{"an absent validator", "ledger", "warning", "1 of 4 of the voting power", "moot ledger validators", func(f *facts) { f.voted, f.absent = 3, []string{"v"} }},
		{"many absent validators", "ledger", "problem", "stands still: validators with 2 of 4 of the voting power", "moot ledger validators", func(f *facts) { f.voted, f.absent, f.stands = 2, []string{"v", "w"}, true }},
		{"a record from ahead", "clock", "problem", "1m0s behind that of a peer that wrote", "timedatectl", func(f *facts) { f.written = time.Minute }},
		{"a record from ahead, where clocks are known", "clock", "warning", "with a clock that is 1m0s ahead of this machine's", "moot peers", func(f *facts) { f.written, f.clocks = time.Minute, 3 }},
		{"other versions", "versions", "warning", "2 with 1.1.0", "moot peers", func(f *facts) { f.versions["1.1.0"] = 2 }},
	} {
		f := healthy()
		tt.change(f)
		d := diagnose(f)
		if len(d.Findings) != 1 || d.Healthy != (tt.severity == v1.SeverityWarning) {
			t.Errorf("%s: %+v", tt.name, d)
			continue
		}
		got := d.Findings[0]
		if got.Check != tt.check || got.Severity != tt.severity || !strings.Contains(got.Summary, tt.summary) || !strings.Contains(got.Command, tt.command) || !slices.Contains(d.Checks, got.Check) {
			t.Errorf("%s: found %+v", tt.name, got)
		}
	}
}

// TestOneLooksAtATime has a second caller wait, and give up when its time is over.
func TestOneLooksAtATime(t *testing.T) {
	n := &Node{looking: make(chan struct{}, 1)}
	n.looking <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (backend{n}).Doctor(ctx); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("while another looks: %v", err)
	}
}

// TestWhyNobodyIsThere has a node look for itself: at a closed port, a name without addresses, and a node of another network.
func TestWhyNobodyIsThere(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := closed.Addr().(*net.TCPAddr).Port
	closed.Close()
	other, err := New(Config{Home: t.TempDir(), Network: "other", Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	refused, foreign := ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port)), other.Addrs()[0]
	n, err := New(Config{Home: t.TempDir(), Network: "test", Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, Bootstrap: []ma.Multiaddr{refused, foreign}, DNS: []string{"nobody.invalid"}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f := &facts{}
	n.lookAround(ctx, f)
	if f.bootstrap[refused.String()] != entranceRefused || f.bootstrap[foreign.String()] != entranceForeign || f.names["nobody.invalid"] == nil {
		t.Errorf("found %+v, failures %v, names %v", f.bootstrap, f.failures, f.names)
	}
	if result, err := n.enter(ctx, n.Addrs()[0]); result != entranceSelf || err != nil {
		t.Errorf("its own address: %s, %v", result, err)
	}
	if open, limit := n.descriptors(); open == 0 || limit < open {
		t.Errorf("%d of %d file descriptors", open, limit)
	}
	if _, err := syncTime(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there was written to")
	}
	if took, err := syncTime(t.TempDir()); err != nil || took <= 0 {
		t.Errorf("sync: %s, %v", took, err)
	}
}
