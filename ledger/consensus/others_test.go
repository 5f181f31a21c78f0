package consensus

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// snapshot is a copy of the folder of a node that does not run.
func (n *testNode) snapshot() string {
	n.t.Helper()
	dir := filepath.Join(n.t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(n.dir)); err != nil {
		n.t.Fatal(err)
	}
	for _, name := range []string{signer.KeyFile, signer.StateFile} { // CopyFS gives them to everybody
		if err := os.Chmod(filepath.Join(dir, "signer", name), 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
	return dir
}

// cloned makes a node of a copy, on a host of its own, which does not run yet. With barred it is as restored from a backup of a node that ran, and its owner gave up what was signed since.
func (n *testNet) cloned(dir string, barred bool) *testNode {
	n.t.Helper()
	node := &testNode{t: n.whole, net: n, dir: dir, host: consensustest.NewHost(n.whole, n.id, n.listen)}
	keys := filepath.Join(dir, "signer")
	if barred {
		c, err := signer.Take(keys, false)
		if err != nil {
			n.t.Fatal(err)
		}
		keys = filepath.Join(n.t.TempDir(), "signer")
		if err := signer.Restore(keys, ChainID(n.id), c, time.Now()); err != nil {
			n.t.Fatal(err)
		}
	}
	s, err := signer.Open(keys, ChainID(n.id))
	if err == nil && barred {
		err = s.Vouch(time.Now(), true)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	node.signer = s
	node.configure = func(c *Config) { c.Sync.ResumeWait = 2 * time.Second }
	n.peers.Admit(consensustest.InfoOf(node.host))
	n.nodes = append(n.nodes, node)
	n.whole.Cleanup(node.halt)
	return node
}

func (n *testNode) barred() bool { return n.signer.Barred() != nil }

// oneHistory checks that two nodes have the same blocks as far as both have some.
func (n *testNet) oneHistory(a, b *testNode) {
	n.t.Helper()
	hash := func(node *testNode, height int64) (hash string) {
		err := node.engine.Read(func(blocks *store.BlockStore, _ sm.Store) error {
			if meta := blocks.LoadBlockMeta(height); meta != nil {
				hash = meta.BlockID.Hash.String()
			}
			return nil
		})
		if err != nil {
			n.t.Fatal(err)
		}
		return hash
	}
	for h := min(a.engine.LatestHeight(), b.engine.LatestHeight()); h >= 1; h-- {
		if x, y := hash(a, h), hash(b, h); x != y {
			n.t.Fatalf("two histories: block %d is %s and %s", h, x, y)
		}
	}
}

// wantStuck checks that no block is made at a node for some heartbeats.
func (n *testNet) wantStuck(node *testNode, why string) {
	n.t.Helper()
	before := node.engine.LatestHeight()
	for end := time.Now().Add(3 * n.heartbeat / 2); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if h := node.engine.LatestHeight(); h != before {
			n.t.Fatalf("%s, and block %d was made after block %d", why, h, before)
		}
	}
}

// oldCopy makes a chain of one validator with a follower, and returns a copy of the validator from before the last blocks, which the follower has.
func oldCopy(t *testing.T, name string) (n *testNet, validator, follower *testNode, old string) {
	t.Helper()
	n = newNet(t, name, 1, tcp4)
	validator, follower = n.nodes[0], n.addNode(false)
	n.start()
	n.commit("one", validator, validator, follower)
	validator.halt()
	old = validator.snapshot()
	validator.start()
	n.commit("two", validator, validator, follower)
	n.commit("three", validator, validator, follower)
	return n, validator, follower, old
}

// TestResumeFetchesWhatOthersHave: the only validator comes back from a backup that lacks blocks which another node has. It fetches them, and only then votes again.
func TestResumeFetchesWhatOthersHave(t *testing.T) {
	t.Parallel()
	n, validator, follower, old := oldCopy(t, "resume-beside-others")
	validator.halt()
	n.peers.Expel(validator.host.ID())

	back := n.cloned(old, true)
	back.start()
	if err := back.engine.Submit(t.Context(), []byte("four")); err != nil { // waits, also over the moment at which it votes again
		t.Fatal(err)
	}
	eventually(t, "what others have", func() bool { return back.app.has("three") })
	if !back.barred() {
		t.Error("it votes before anybody can have told of a later block")
	}
	eventually(t, "its vote", func() bool { return !back.barred() })
	eventually(t, "a block with what was handed in before", func() bool { return follower.app.has("four") })
	n.commit("five", back, back, follower)
	n.oneHistory(back, follower)
	if err := back.engine.Health(); err != nil {
		t.Error(err)
	}
}

// TestResumeAlone: nobody answers, and the only validator goes on from its backup after the wait, not before. Should others turn up with what was given up, it stops.
func TestResumeAlone(t *testing.T) {
	t.Parallel()
	n, validator, follower, old := oldCopy(t, "resume-alone")
	n.halt(validator, follower)
	n.peers.Expel(validator.host.ID())

	back := n.cloned(old, true)
	began := time.Now()
	back.start()
	if s := back.engine.Status(); s.Barred == nil {
		t.Fatal("it votes at once")
	}
	eventually(t, "a word on what is waited for", func() bool {
		s := back.engine.Status()
		return s.Barred == nil || strings.Contains(s.Barred.Error(), "of 2s are over")
	})
	eventually(t, "its vote", func() bool { return !back.barred() })
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("it votes after %s", took)
	}
	n.commit("lost and gone on", back, back)

	// Its owner was wrong, as another node has what was given up: there are two histories, and it says so and stops.
	// The other one finds that out, too, when it hears of the blocks of this one before it is seen.
	back.mayFail, follower.mayFail = true, true
	follower.start()
	select {
	case <-back.engine.Failed():
	case <-time.After(patience): // who was away is tried again after up to half a minute, and looked at every ten seconds
		t.Fatal("it goes on with a history of its own")
	}
	if err := back.engine.Health(); !strings.Contains(err.Error(), "two histories") {
		t.Error(err)
	}
}

// TestOldVolume: the only validator's data are put back to what they were some blocks before. It has its vote, and must not use it before it has looked at what others have.
func TestOldVolume(t *testing.T) {
	t.Parallel()
	n, validator, follower, old := oldCopy(t, "old-volume")
	validator.halt()
	n.peers.Expel(validator.host.ID())

	back := n.cloned(old, false)
	back.configure = func(c *Config) { c.OthersExpected = func() bool { return true } }
	back.start()
	eventually(t, "what others have", func() bool { return back.app.has("three") })
	if !back.barred() {
		t.Fatal("it has its vote though its key has signed what it did not know of")
	}
	n.wantStuck(back, "it is barred")
	n.oneHistory(back, follower)
	back.halt()

	// One that has lost nothing begins, whether the others answer or not.
	if err := back.signer.Vouch(time.Now(), true); err != nil {
		t.Fatal(err)
	}
	back.configure = func(c *Config) {
		c.Sync.ResumeWait = time.Second
		c.OthersExpected = func() bool { return true }
	}
	back.start()
	n.commit("four", back, back, follower)
	back.halt()
	back.start()
	n.commit("five", back, back, follower)
	n.halt(back, follower)
	back.start()
	n.commit("six", back, back)
}

// TestLiarsDontKeepFromVoting: neither a height without its header nor another block without the signatures of those who decide here keeps a validator from its vote.
func TestLiarsDontKeepFromVoting(t *testing.T) {
	t.Parallel()
	n, validator, follower, old := oldCopy(t, "liars")
	n.halt(validator, follower)
	n.peers.Expel(validator.host.ID())
	liar := consensustest.NewHost(t, n.id, tcp4)
	header := foreignHeader(t)
	server, err := rpc.NewServer(rpc.ServerConfig{
		Host: liar, Protocol: n.id.Protocol(syncProtocol), MaxMessage: maxAnswer, MaxInFlight: maxQuestions,
		Handler: func(_ context.Context, _ peer.ID, data []byte) ([]byte, error) {
			kind, _, _, err := parseQuestion(data)
			switch {
			case err != nil:
				return nil, err
			case kind == questionTip:
				return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{answerOK}, 1), 1_000_000), nil
			case kind == questionHeader:
				return header, nil
			}
			return []byte{answerNotThere}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })

	back := n.cloned(old, true)
	back.start()
	e := back.engine
	p, err := e.running()
	if err != nil {
		t.Fatal(err)
	}
	asker, err := e.newAsker(p)
	if err != nil {
		t.Fatal(err)
	}
	defer asker.close()
	asker.members = func() []peer.ID { return []peer.ID{liar.ID()} }
	if err := back.host.Connect(t.Context(), consensustest.InfoOf(liar)); err != nil {
		t.Fatal(err)
	}
	o := &others{engine: e, parts: p, asker: asker, provider: newProvider(t.Context(), p.genesis, asker), quiet: time.Now()}
	if s, err := o.look(t.Context()); err != nil || s.answers != 1 || s.height != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// foreignHeader is an answer with the header of a block of another chain: whole, and signed by others.
func foreignHeader(t *testing.T) []byte {
	t.Helper()
	other := newNet(t, "another", 1, tcp4)
	other.start()
	node := other.nodes[0]
	other.commit("other", node, node)
	var out []byte
	err := node.engine.use(func(p *parts) (err error) {
		out, err = p.history.answerHeader(1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	node.halt()
	return out
}

// TestResumeWaitBounds: a wait that nobody can be found in is refused.
func TestResumeWaitBounds(t *testing.T) {
	for wait, good := range map[time.Duration]bool{0: true, MinResumeWait: true, time.Minute: true, time.Millisecond: false, -time.Second: false} {
		s := Sync{ResumeWait: wait}
		if err := s.validate(); (err == nil) != good || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", wait, err)
		}
	}
}
