package consensus

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
)

// A network of four lives through what happens to networks. The parts share it to save the time of its start.
func TestNetwork(t *testing.T) {
	n := newNet(t, "network", 4, tcp4)
	n.start()
	n.commit("one", n.nodes[0], n.nodes...)
	n.commit("two", n.nodes[1], n.nodes...)
	n.agree()
	for _, part := range []struct {
		name string
		f    func(*testing.T, *testNet)
	}{
		{"stranger", stranger}, {"malformed", malformed}, {"expelled", expelled}, {"connections closed", connectionsClosed},
		{"restart", restart}, {"restart on the same connections", restartQuickly}, {"late node", lateNode}, {"equivocation", equivocation},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			n.t = t
			part.f(t, n)
			n.t = t
			n.agree()
		}) {
			return
		}
	}
	n.t = t
	n.halt(n.nodes...)
	if len(n.nodes[0].host.Network().ConnsToPeer(n.nodes[1].host.ID())) == 0 {
		t.Error("the hosts are not connected any more")
	}
	noGoroutines(t)
}

// attacker is a host that speaks the wire's protocols by hand.
func attacker(t *testing.T, n *testNet, target *testNode) host.Host {
	t.Helper()
	h := consensustest.NewHost(t, n.id, tcp4)
	if err := h.Connect(t.Context(), consensustest.InfoOf(target.host)); err != nil {
		t.Fatal(err)
	}
	return h
}

// session opens a session by hand, and says whether it was accepted.
func session(t *testing.T, n *testNet, from host.Host, to peer.ID) (network.Stream, bool) {
	t.Helper()
	s, err := from.NewStream(t.Context(), to, n.id.Protocol("ledger/1/session"))
	if errors.Is(err, network.ErrReset) {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset() })
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, err = s.Write([]byte("\x01instance"))
	if err == nil {
		_, err = io.ReadFull(s, make([]byte, 9))
	}
	if err != nil {
		s.Reset()
	}
	return s, err == nil
}

// refused says whether a stream that carries the given bytes is reset.
func refused(t *testing.T, n *testNet, from host.Host, to peer.ID, channel string, data []byte) bool {
	t.Helper()
	s, err := from.NewStream(t.Context(), to, n.id.Protocol("ledger/1/"+channel))
	if errors.Is(err, network.ErrReset) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Reset()
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(append([]byte{0, 0, 0, 1, 0, 0, 0, 1}, data...)); err != nil { // epoch and number, which may be any
		return true
	}
	if err := s.CloseWrite(); err != nil {
		return true
	}
	_, err = s.Read(make([]byte, 1))
	return err != io.EOF
}

// rest is how long the gate gives no session to a peer that has misbehaved.
const rest = time.Second

// statusRequest is a message of the block sync, as lp2p puts it on a stream.
var statusRequest = []byte{2, 0x22, 0}

func (n *testNode) knows(p peer.ID) bool {
	parts, err := n.engine.running()
	if err != nil {
		n.t.Fatal(err)
	}
	return parts.swtch.Peers().Has(key(p))
}

// Who is no member gets no session, and no stream without one; lp2p alone would take it for a peer.
func stranger(t *testing.T, n *testNet) {
	target := n.nodes[0]
	h := attacker(t, n, target)
	if _, ok := session(t, n, h, target.host.ID()); ok {
		t.Error("a stranger got a session")
	}
	if !refused(t, n, h, target.host.ID(), "0x40", statusRequest) {
		t.Error("a stranger's message was read")
	}
	if target.knows(h.ID()) {
		t.Error("a stranger is a peer")
	}
	if err := target.engine.AddPeer(t.Context(), consensustest.InfoOf(h)); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("add a stranger: %v", err)
	}
}

// A member that sends nonsense loses its session, and nothing else on the connection.
func malformed(t *testing.T, n *testNet) {
	target := n.nodes[0]
	h := attacker(t, n, target)
	n.peers.Admit(peer.AddrInfo{ID: h.ID()})
	defer n.peers.Expel(h.ID())
	s := echoStream(t, h, target.host)
	connection := h.Network().ConnsToPeer(target.host.ID())[0]
	for _, c := range []struct {
		channel string
		data    []byte
	}{
		{"0x40", []byte{3, 0xff, 0xff, 0xff}},
		{"0x22", []byte{3, 0xff, 0xff, 0xff}},
		{"0x30", []byte{2, 0x0a, 0}},
		{"0x38", []byte{4, 0x0a, 2, 1, 1}},
	} {
		var held network.Stream
		eventually(t, "a session", func() (ok bool) {
			held, ok = session(t, n, h, target.host.ID())
			return ok
		})
		if refused(t, n, h, target.host.ID(), "0x40", statusRequest) {
			t.Fatalf("%s: a member's message was refused", c.channel)
		}
		eventually(t, "the member", func() bool { return target.knows(h.ID()) })
		misbehaved := time.Now()
		refused(t, n, h, target.host.ID(), c.channel, c.data)
		if c.channel != "0x30" { // CometBFT bears an empty list
			if _, err := held.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: the session goes on", c.channel)
			}
			if s, ok := session(t, n, h, target.host.ID()); ok {
				if pause := time.Since(misbehaved); pause < rest {
					t.Errorf("%s: a new session after %s", c.channel, pause)
				}
				s.Reset()
			}
		} else {
			held.Reset()
		}
		eventually(t, "the member's end", func() bool { return !target.knows(h.ID()) })
		echo(t, s)
	}
	if connection.IsClosed() {
		t.Error("the connection was closed")
	}
	n.commit("after nonsense", target, n.nodes...)
}

// A member that is expelled is gone, and does not come back.
func expelled(t *testing.T, n *testNet) {
	target := n.nodes[1]
	h := attacker(t, n, target)
	n.peers.Admit(peer.AddrInfo{ID: h.ID()})
	held, ok := session(t, n, h, target.host.ID())
	if !ok || refused(t, n, h, target.host.ID(), "0x40", statusRequest) {
		t.Fatal("a member was refused")
	}
	eventually(t, "the member", func() bool { return target.knows(h.ID()) })
	n.peers.Expel(h.ID())
	if !refused(t, n, h, target.host.ID(), "0x40", statusRequest) {
		t.Error("its message was read")
	}
	if _, err := held.Read(make([]byte, 1)); err == nil {
		t.Error("the session goes on")
	}
	eventually(t, "its end", func() bool { return !target.knows(h.ID()) })
	if _, ok := session(t, n, h, target.host.ID()); ok {
		t.Error("it has a session again")
	}
}

// Connections that all break are made again, and blocks go on.
func connectionsClosed(t *testing.T, n *testNet) {
	for _, a := range n.nodes {
		for _, b := range n.nodes {
			if a != b {
				if err := a.host.Network().ClosePeer(b.host.ID()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	n.commit("healed", n.nodes[2], n.nodes...)
}

// A validator that was away catches up and votes again: without its vote there would be no more blocks.
func restart(t *testing.T, n *testNet) {
	away := n.nodes[3]
	away.halt()
	for _, tx := range []string{"without 1", "without 3"} {
		n.commit(tx, n.nodes[0], n.nodes[:3]...)
	}
	checkAttendance(t, n, away)
	away.start()
	eventually(t, "what it missed", func() bool { return away.app.has("without 3") })
	n.nodes[1].halt()
	n.commit("with its vote", n.nodes[0], n.nodes[0], n.nodes[2], away)
	n.nodes[1].start()
	n.commit("all there", n.nodes[1], n.nodes...)
}

// Validators that come back at once, and two at a time, so that no block is made meanwhile: the others must not take them for those who know the votes of before.
func restartQuickly(t *testing.T, n *testNet) {
	a, b := n.nodes[0], n.nodes[2]
	n.halt(a, b)
	a.start()
	b.start()
	n.commit("again", a, n.nodes...)
}

// A node without a vote that comes late fetches the blocks, and follows.
func lateNode(t *testing.T, n *testNet) {
	late := n.addNode(false)
	late.start()
	eventually(t, "the blocks so far", func() bool { return late.app.has("one") && late.app.has("all there") })
	n.commit("to the late one", n.nodes[0], late)
	eventually(t, "the end of its fetching", func() bool { return late.engine.Health() == nil })
	n.commit("from the late one", late, n.nodes...)
}

// Evidence of a validator that voted twice reaches every application.
func equivocation(t *testing.T, n *testNet) {
	culprit := n.nodes[3]
	const height = 2
	var ev types.Evidence
	err := n.nodes[0].engine.Read(func(blocks *store.BlockStore, states sm.Store) error {
		validators, err := states.LoadValidators(height)
		if err != nil {
			return err
		}
		at := blocks.LoadBlockMeta(height).Header.Time
		ev, err = types.NewDuplicateVoteEvidence(forged(t, n, culprit, validators, height, 'a', at), forged(t, n, culprit, validators, height, 'b', at), at, validators)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	parts, err := n.nodes[0].engine.running()
	if err != nil {
		t.Fatal(err)
	}
	if err := parts.proofs.AddEvidence(ev); err != nil {
		t.Fatal(err)
	}
	for _, node := range n.nodes {
		eventually(t, "the evidence", func() bool { return len(node.app.caught()) == 1 })
		if m := node.app.caught()[0]; m.Height != height {
			t.Errorf("misbehaviour at height %d, want %d", m.Height, height)
		}
	}
}

// forged is a precommit that the culprit's signer would never have signed.
func forged(t *testing.T, n *testNet, culprit *testNode, validators *types.ValidatorSet, height int64, block byte, at time.Time) *types.Vote {
	t.Helper()
	key, err := culprit.signer.GetPubKey()
	if err != nil {
		t.Fatal(err)
	}
	index, _ := validators.GetByAddress(key.Address())
	hash := sha256.Sum256([]byte{block})
	v := &types.Vote{
		Type: cmtproto.PrecommitType, Height: height, Timestamp: at, ValidatorAddress: key.Address(), ValidatorIndex: index,
		BlockID: types.BlockID{Hash: hash[:], PartSetHeader: types.PartSetHeader{Total: 1, Hash: hash[:]}},
	}
	p := v.ToProto()
	if err := types.NewMockPVWithParams(privateKey(t, culprit), false, false).SignVote(n.genesis.ChainID, p); err != nil {
		t.Fatal(err)
	}
	v.Signature = p.Signature
	return v
}

// Networks never mix, though their nodes are connected and each is allowed in the other.
func TestOtherNetwork(t *testing.T) {
	t.Parallel()
	one, other := newNet(t, "red", 1, tcp4), newNet(t, "blue", 1, tcp4)
	a, b := one.nodes[0], other.nodes[0]
	one.peers.Admit(consensustest.InfoOf(b.host))
	other.peers.Admit(consensustest.InfoOf(a.host))
	one.start()
	other.start()
	if err := a.engine.AddPeer(t.Context(), consensustest.InfoOf(b.host)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("add a peer of another network: %v", err)
	}
	if len(a.host.Network().ConnsToPeer(b.host.ID())) == 0 {
		t.Fatal("the hosts are not connected")
	}
	one.commit("red", a, a)
	other.commit("blue", b, b)
	if a.app.has("blue") || b.app.has("red") || len(a.engine.Members()) > 0 || len(b.engine.Members()) > 0 {
		t.Error("the networks mix")
	}
	if one.genesis.ChainID == other.genesis.ChainID {
		t.Error("the chains have one id")
	}
}

// Consensus works over QUIC, and where there are IPv6 addresses only, which lp2p cannot read.
func TestTransports(t *testing.T) {
	for name, listen := range map[string]string{"quic": quic, "ip6": tcp6} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "ip6" {
				l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp6", "[::1]:0")
				if err != nil {
					t.Skip("no IPv6 here")
				}
				l.Close()
			}
			n := newNet(t, "transport", 2, listen)
			n.start()
			n.commit("one", n.nodes[0], n.nodes...)
			n.agree()
		})
	}
}

// What is handed in while a network begins comes into a block at once, and not with a heartbeat: nodes that begin a moment later get it too.
func TestFirstTransaction(t *testing.T) {
	t.Parallel()
	n := newNet(t, "first", 4, tcp4)
	n.heartbeat = time.Hour
	n.start()
	n.commit("one", n.nodes[0], n.nodes...)
}

// A validator whose clock is behind refuses to vote for what is in its future, and yet follows what the others decide, also when it has to fetch it.
func TestClockBehind(t *testing.T) {
	t.Parallel()
	n := newNet(t, "behind", 4, tcp4)
	// The others are ahead of the machine's clock with their chain, and one has its time: what CometBFT itself asks the machine counts, too.
	n.genesis.GenesisTime = time.Now().Add(10 * time.Minute).UTC()
	for _, node := range n.nodes[:3] {
		node.behind.Store(-int64(10 * time.Minute))
	}
	late := n.nodes[3]
	n.start()
	for i := range 5 { // each proposes once
		n.commit(fmt.Sprint("tx", i), n.nodes[i%4], n.nodes...)
	}
	if behind := late.engine.Status().Behind; behind < 9*time.Minute || n.nodes[0].engine.Status().Behind != 0 {
		t.Errorf("it says that its clock is %s behind, another %s", behind, n.nodes[0].engine.Status().Behind)
	}
	late.halt()
	n.commit("away", n.nodes[0], n.nodes[:3]...)
	late.start()
	n.commit("again", n.nodes[0], n.nodes...)
	eventually(t, "health", func() bool { return late.engine.Health() == nil })
	n.agree()
}

// More clocks that are behind than may be wrong make the ledger wait until they are set right.
func TestClocksBehind(t *testing.T) {
	t.Parallel()
	n := newNet(t, "all-behind", 1, tcp4)
	node := n.nodes[0]
	node.behind.Store(int64(10 * time.Minute))
	node.start()
	eventually(t, "rounds that fail", func() bool { return node.engine.Status().Round >= 2 })
	if height := node.engine.LatestHeight(); height > 1 { // the first block has the time of the genesis
		t.Errorf("block %d was made", height)
	}
	node.behind.Store(0)
	n.commit("one", node, node)
	if behind := node.engine.Status().Behind; behind != 0 {
		t.Errorf("it says that its clock is %s behind after it was set right", behind)
	}
}

// A chain that cannot move, as two thirds are not there, is not healthy; it is again when they come back.
func TestStall(t *testing.T) {
	t.Parallel()
	n := newNet(t, "stall", 2, tcp4)
	n.start()
	n.commit("one", n.nodes[0], n.nodes...)
	eventually(t, "health", func() bool { return n.nodes[0].engine.Health() == nil })
	n.nodes[0].engine.cfg.Timing.Stall = 3 * time.Second // nobody else asks for it
	n.nodes[1].halt()
	eventually(t, "the stall", func() bool { return fault.KindOf(n.nodes[0].engine.Health()) == fault.Unavailable })
	n.nodes[1].start()
	n.commit("two", n.nodes[0], n.nodes...)
	eventually(t, "health", func() bool { return n.nodes[0].engine.Health() == nil })
}
