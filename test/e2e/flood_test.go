//go:build e2e && linux

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/test/netns"
)

const (
	// floodConnections is the victim's --max-connections.
	floodConnections = 256
	// floodMemory is how much more resident memory than before the victim may have at any time of a flood: connections may buffer an eighth of the machine's, of which these floods don't come near.
	floodMemory = 192 << 20
	// floodCallers use the victim meanwhile, and calmTime is how long they do before and after.
	floodCallers = 4
	calmTime     = 500 * time.Millisecond
	// floodAnswers is the least part of what they ask for that is answered, in percent.
	floodAnswers = 80
)

// flood is a victim and a friend of it, each on a host of its own. So is each attacker, so that none pays for what one before it did.
type flood struct {
	t              *testing.T
	lab            *netns.Lab
	link           *netns.Link
	victim, friend *peer
	api            *client.Client // the friend's
	serial         int
}

// TestFloods has an attacker, a process on a host of its own, do what it can to a peer of an open network, and of one for members only: what that costs is bounded, and the others are served during and after it.
func TestFloods(t *testing.T) {
	t.Run("open", func(t *testing.T) {
		lab := newLab(t)
		f := &flood{t: t, lab: lab, link: newLink(t, lab, "lan")}
		host := newHost(t, lab, "victim", f.link)
		f.victim = newPeer(t, host, "victim", "--mdns=false", "--max-connections", strconv.Itoa(floodConnections)).start()
		f.friend = newPeer(t, newHost(t, lab, "friend", f.link), "friend", "--mdns=false", "--bootstrap", tcp(host, f.link)).start()
		f.run("silent connections", "identities", "identities over QUIC", "streams", "streams over QUIC", "endless messages", "slow reader over QUIC")
	})
	t.Run("members only", func(t *testing.T) {
		c := newClub(t, "--max-connections", strconv.Itoa(floodConnections))
		f := &flood{t: t, lab: c.lab, link: c.link, victim: c.founder, friend: c.join(c.invite(), c.newPeer("friend"))}
		f.run("silent connections", "identities", "identities over QUIC", "streams")
	})
}

// run attacks in each way, over TCP unless the way says otherwise.
func (f *flood) run(kinds ...string) {
	f.t.Helper()
	meet(f.t, f.victim, f.friend)
	url, err := f.friend.URL()
	check(f.t, err)
	f.api, err = client.New(url, client.Options{HTTPClient: f.friend.HTTPClient(), Timeout: commandPatience})
	check(f.t, err)
	addr := hostOf(f.victim).Addrs(f.link).V4.Addr()
	calm := f.calm()
	for _, kind := range kinds {
		transport := "tcp/4242"
		kind, quic := strings.CutSuffix(kind, " over QUIC")
		if quic {
			transport = "udp/4242/quic-v1"
		}
		calm = f.one(kind, fmt.Sprintf("/ip4/%s/%s/p2p/%s", addr, transport, f.victim.id), calm)
	}
	if state := f.victim.state(f.friend); state != "alive" {
		f.t.Errorf("after all, the victim believes its friend %s", state)
	}
}

// one attacks once, looks at what it did, and returns how the victim fared afterwards.
func (f *flood) one(kind, target string, before sample) (after sample) {
	f.t.Helper()
	program, err := os.Executable()
	check(f.t, err)
	ctx, cancel := context.WithTimeout(f.t.Context(), commandPatience)
	defer cancel()
	cmd := newHost(f.t, f.lab, fmt.Sprint("attacker", f.serial), f.link).Command(ctx, program)
	cmd.Env = append(os.Environ(), attackKind+"="+kind, attackTarget+"="+target)
	var out []byte
	var failed error
	var during sample
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, failed = cmd.CombinedOutput()
	}()
	during = f.use(func() bool {
		select {
		case <-done:
			return false
		default:
			return true
		}
	})
	if failed != nil {
		f.t.Fatalf("%s at %s: %v\n%s", kind, target, failed, out)
	}
	eventually(f.t, settlePatience, func() error {
		after = f.calm()
		if limit := 2*before.goroutines + 64; after.failed > 0 || after.goroutines > limit {
			return fmt.Errorf("after %s: %s; want none failed and up to %d goroutines", kind, after, limit)
		}
		return nil
	})
	f.t.Logf("%s, %s: the attacker %s\n  before: %s\n  during: %s\n  after:  %s", kind, target, strings.TrimSpace(string(out)), before, during, after)
	if n := len(during.took); n < 10 || 100*n < floodAnswers*(n+during.failed) {
		f.t.Errorf("during %s: %d requests were answered and %d failed", kind, n, during.failed)
	}
	if during.memory > before.memory+floodMemory || after.memory > before.memory+floodMemory {
		f.t.Errorf("%s: the victim took up to %d MiB, %d before", kind, max(during.memory, after.memory)>>20, before.memory>>20)
	}
	if during.connections > floodConnections {
		f.t.Errorf("%s: the victim had %d connections, at most %d are allowed", kind, during.connections, floodConnections)
	}
	return after
}

// sample is how a victim fared for a while.
type sample struct {
	took                    []time.Duration // of the requests that were answered, sorted
	failed                  int
	memory                  int64 // resident, the most that was seen
	goroutines, connections int   // the most that were seen
}

func (s sample) String() string {
	at := func(percent int) time.Duration {
		if len(s.took) == 0 {
			return 0
		}
		return s.took[(len(s.took)-1)*percent/100].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d answered, p50 %s, p99 %s, %d failed; %d MiB, %d goroutines, %d connections", len(s.took), at(50), at(99), s.failed, s.memory>>20, s.goroutines, s.connections)
}

// calm uses the victim for calmTime.
func (f *flood) calm() sample {
	end := time.Now().Add(calmTime)
	return f.use(func() bool { return time.Now().Before(end) })
}

// use has callers write records with a copy at the victim, which answers only when it is on its disk, for as long as more says so.
func (f *flood) use(more func() bool) (s sample) {
	f.t.Helper()
	var mu sync.Mutex
	var callers sync.WaitGroup
	f.serial++
	for caller := range floodCallers {
		callers.Go(func() {
			for i := 0; more(); i++ {
				began := time.Now()
				_, err := f.api.PutRecord(f.t.Context(), fmt.Sprintf("flood/%d/%d/%d", f.serial, caller, i), []byte("value"), client.PutOptions{Consistency: "all"})
				took := time.Since(began)
				mu.Lock()
				if err != nil {
					s.failed++
				} else {
					s.took = append(s.took, took)
				}
				mu.Unlock()
			}
		})
	}
	for {
		f.look(&s)
		if !more() {
			break
		}
		time.Sleep(pollInterval)
	}
	callers.Wait()
	slices.Sort(s.took)
	return s
}

// look takes down what the victim uses now.
func (f *flood) look(s *sample) {
	f.t.Helper()
	memory, err := residentMemory(f.victim.PID())
	check(f.t, err)
	s.memory = max(s.memory, memory)
	url, err := f.victim.URL()
	check(f.t, err)
	c := f.victim.HTTPClient()
	defer c.CloseIdleConnections()
	resp, err := c.Get(url + "/metrics")
	check(f.t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		f.t.Fatalf("metrics: %s", resp.Status)
	}
	connections, goroutines := 0, 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, _ := strconv.ParseFloat(value, 64)
		switch {
		case name == "go_goroutines":
			goroutines = int(n)
		case strings.HasPrefix(name, "moot_swarm_connections{"):
			connections += int(n)
		}
	}
	if goroutines == 0 {
		f.t.Fatal("the metrics say nothing of goroutines")
	}
	s.goroutines, s.connections = max(s.goroutines, goroutines), max(s.connections, connections)
}

// residentMemory returns what the kernel says a process has in memory, in bytes.
func residentMemory(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no resident memory", pid)
}
