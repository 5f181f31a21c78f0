//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger/admission"
	"github.com/folkmoot/folkmoot/test/netns"
)

const (
	// expelPatience is how soon everybody who reaches the ledger has parted from who was expelled.
	expelPatience = 5 * time.Second
	// endPatience bounds the time until a node that can't go on has ended.
	endPatience = 25 * time.Second
)

// club is a network for members only, on one link.
type club struct {
	t       *testing.T
	lab     *netns.Lab
	link    *netns.Link
	founder *peer
}

// newClub founds one; args are options of the founder's node.
func newClub(t *testing.T, args ...string) *club {
	t.Helper()
	c := &club{t: t, lab: newLab(t)}
	c.link = newLink(t, c.lab, "lan")
	c.founder = c.newPeer("founder", args...)
	c.founder.do("init", "--network", networkName(t))
	c.founder.start()
	return c
}

// newPeer makes a node on a host of its own, without a home yet.
func (c *club) newPeer(name string, args ...string) *peer {
	c.t.Helper()
	p := newPeer(c.t, newHost(c.t, c.lab, name, c.link), name)
	p.Args = append([]string{"--mdns=false"}, args...)
	return p
}

// invite returns the line that the founder makes.
func (c *club) invite(args ...string) string {
	c.t.Helper()
	line := c.founder.do(append([]string{"invite"}, args...)...)
	if strings.Count(line, "\n") != 1 {
		c.t.Fatalf("an invite is one line: %q", line)
	}
	return line
}

// join makes a peer a member, and starts it.
func (c *club) join(line string, p *peer) *peer {
	c.t.Helper()
	p.feed(line, "join", "-", "--yes", "--run=false", "--name", p.name)
	return p.start()
}

// turnedAway wants a command to fail in a way.
func (c *club) turnedAway(p *peer, stdin string, code int, want string, args ...string) {
	c.t.Helper()
	r := p.command(stdin, args...)
	if r.Code != code || !strings.Contains(r.Stderr, want) {
		c.t.Errorf("%s: moot %s: exit code %d, want %d, with %q\nstdout: %s\nstderr: %s", p.name, strings.Join(args, " "), r.Code, code, want, r.Stdout, r.Stderr)
	}
}

// ends wants a node, which was started, to end by itself with exit code 1 and a reason.
func (c *club) ends(p *peer, reason string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), endPatience)
	defer cancel()
	code, err := p.Wait(ctx)
	check(c.t, err)
	if code != 1 || !strings.Contains(p.Output(), reason) {
		c.t.Errorf("%s ended with exit code %d, want 1 with %q:\n%s", p.name, code, reason, p.Output())
	}
}

func (c *club) members(p *peer) []v1.Member {
	c.t.Helper()
	return decode[v1.Members](c.t, p.do("members", "list", "--all", "--json")).Members
}

// TestMembers goes through what people do with members: invite, join, expel, revoke, replace a key.
func TestMembers(t *testing.T) {
	c := newClub(t)
	line := c.invite("--note", "for the harbour")
	harbour := c.join(line, c.newPeer("harbour"))
	light := c.join(c.invite(), c.newPeer("light", "--ledger=false"))
	meet(t, c.founder, harbour, light)
	harbour.do("put", "tide", "high")
	if got := light.do("get", "tide"); got != "high" {
		t.Errorf("light reads %q", got)
	}

	c.strangers(line)

	began := time.Now()
	c.founder.do("members", "expel", "harbour")
	for _, p := range []*peer{c.founder, light} {
		t.Logf("%s parted after %s", p.name, p.sees(harbour, began, expelPatience, "unknown").Round(time.Millisecond))
	}
	c.ends(harbour, "was expelled")
	check(t, harbour.Start())
	c.ends(harbour, "was expelled")
	if got := c.founder.do("get", "tide"); got != "high" {
		t.Errorf("what an expelled peer wrote before is %q", got)
	}
	c.founder.do("members", "admit", harbour.id, "--name", "harbour")
	harbour.Args = append(harbour.Args, "--rejoin")
	harbour.start()
	meet(t, c.founder, harbour, light)
}

func hostOf(p *peer) *netns.Host { return p.Machine.(*netns.Host) }

// strangers tries all the wrong ways in.
func (c *club) strangers(used string) {
	c.t.Helper()
	nobody := c.newPeer("nobody")
	c.turnedAway(nobody, used, 5, "used up", "join", "-", "--yes")
	c.turnedAway(nobody, used, 2, "--yes", "join", "-")
	c.turnedAway(nobody, used[:len(used)/2], 2, "damaged", "join", "-", "--yes")
	c.turnedAway(nobody, "", 2, "no invite", "join", "hello", "--yes")

	revoked := c.invite("--uses", "3")
	list := decode[v1.Invites](c.t, c.founder.do("invite", "list", "--json")).Invites
	i := slices.IndexFunc(list, func(i v1.Invite) bool { return i.State == v1.InviteOpen && i.Uses == 3 })
	if i < 0 {
		c.t.Fatalf("the invite is not in the list: %+v", list)
	}
	c.founder.do("invite", "revoke", list[i].ID[:16])
	c.turnedAway(nobody, revoked, 3, "revoked", "join", "-", "--yes")
	c.turnedAway(nobody, c.invite("--expires", "1ms"), 3, "expired", "join", "-", "--yes")
	c.turnedAway(nobody, otherNetwork(c.t, used), 4, "another network", "join", "-", "--yes")

	stranger := c.newPeer("stranger", "--bootstrap", tcp(hostOf(c.founder), c.link))
	stranger.feed(c.founder.do("ledger", "genesis"), "init", "--genesis", "-")
	check(c.t, stranger.Start())
	c.ends(stranger, "not a member of the network")

	other := c.newPeer("other")
	other.do("init", "--network", "other")
	c.turnedAway(other, c.invite(), 5, "another network", "join", "-", "--yes")
}

// otherNetwork returns an invite as if to a network with another genesis.
func otherNetwork(t *testing.T, text string) string {
	t.Helper()
	line, err := admission.ParseLine(text)
	check(t, err)
	line.Network[0] ^= 1
	return line.String()
}

// TestMemberKeys: a key is replaced, and who is cut off from the ledger knows the members all the same.
func TestMemberKeys(t *testing.T) {
	c := newClub(t)
	lines := c.invite("--uses", "2")
	harbour, light := c.join(lines, c.newPeer("harbour")), c.join(lines, c.newPeer("light", "--ledger=false"))
	meet(t, c.founder, harbour, light)
	c.brokenOff()
	old := harbour.id
	eventually(t, settlePatience, func() error { return caughtUp(harbour, c.founder) })
	harbour.do("members", "replace-key")
	c.ends(harbour, "replaced")
	harbour.start()
	if harbour.id == old {
		t.Fatal("the node has its old identity")
	}
	meet(t, c.founder, harbour, light)
	for _, p := range []*peer{c.founder, light} {
		eventually(t, settlePatience, func() error { return c.replaced(p, old, harbour.id) })
	}
	check(t, c.founder.Kill())
	harbour.terminate(6 * time.Second)
	light.terminate(6 * time.Second)
	harbour.start()
	light.start()
	eventually(t, settlePatience, func() error { return light.knows(harbour) })
}

// brokenOff has a peer join that stops before it has its receipt, and join again.
func (c *club) brokenOff() {
	c.t.Helper()
	line := c.invite()
	p := c.newPeer("again")
	p.feed(line, "join", "-", "--yes", "--run=false")
	wipe(c.t, p, "members.json")
	p.feed(line, "join", "-", "--yes", "--run=false")
	p.start()
	p.sees(c.founder, time.Now(), settlePatience, "alive")
	p.terminate(6 * time.Second)
}

// replaced returns nil when a member knows that one key has taken the place of another, with its name.
func (c *club) replaced(p *peer, old, now string) error {
	var ended, goes bool
	for _, m := range c.members(p) {
		ended = ended || m.ID == old && !m.Until.IsZero()
		goes = goes || m.ID == now && m.Until.IsZero() && m.Name == "harbour"
	}
	if !ended || !goes {
		return fmt.Errorf("%s knows %+v", p.name, c.members(p))
	}
	return nil
}

// caughtUp returns nil when a node has as many blocks as another.
func caughtUp(p, other *peer) error {
	has, wants := decode[v1.Ledger](p.t, p.do("ledger", "status", "--json")), decode[v1.Ledger](p.t, other.do("ledger", "status", "--json"))
	if has.Height < wants.Height || has.Syncing {
		return fmt.Errorf("%s has block %d of %d", p.name, has.Height, wants.Height)
	}
	return nil
}
