package consensus

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/blocksync"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"
	bcproto "github.com/cometbft/cometbft/proto/tendermint/blocksync"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	"golang.org/x/time/rate"
)

// Who stands in the way of every block is told by exact thirds: CometBFT rounds down, and takes one of four that have a power of 1 for such.
func TestIndispensable(t *testing.T) {
	for _, c := range []struct {
		powers []int64
		want   bool // of the first
	}{
		{[]int64{1}, true}, {[]int64{1, 1}, true}, {[]int64{1, 1, 1}, true}, {[]int64{1, 1, 1, 1}, false}, {[]int64{1, 1, 1, 1, 1}, false},
		{[]int64{10, 10, 10}, true}, {[]int64{10, 10, 11}, false}, {[]int64{2, 1, 1, 1}, true},
	} {
		var list []*types.Validator
		for _, power := range c.powers {
			list = append(list, types.NewValidator(types.NewMockPV().PrivKey.PubKey(), power))
		}
		first := list[0]
		if got := indispensable(first, types.NewValidatorSet(list)); got != c.want {
			t.Errorf("%v: %t", c.powers, got)
		}
	}
	if indispensable(nil, types.NewValidatorSet([]*types.Validator{types.NewValidator(types.NewMockPV().PrivKey.PubKey(), 1)})) {
		t.Error("no validator is one")
	}
}

// fakePeer is a peer of the block sync.
type fakePeer struct {
	p2p.Peer
	id p2p.ID
}

func (p fakePeer) ID() p2p.ID              { return p.id }
func (p fakePeer) String() string          { return string(p.id) }
func (fakePeer) TrySend(p2p.Envelope) bool { return true }
func (fakePeer) Send(p2p.Envelope) bool    { return true }

// fetchingSide is a block sync that needs block 1 next, and the peers that are known to it.
func fetchingSide(t *testing.T, peers ...peer.ID) *blockReactor {
	t.Helper()
	blocks := store.NewBlockStore(dbm.NewMemDB())
	doc := &types.GenesisDoc{ChainID: "catch-up", GenesisTime: time.Now(), Validators: []types.GenesisValidator{{PubKey: types.NewMockPV().PrivKey.PubKey(), Power: 1}}}
	if err := doc.ValidateAndComplete(); err != nil {
		t.Fatal(err)
	}
	state, err := sm.MakeGenesisState(doc)
	if err != nil {
		t.Fatal(err)
	}
	var known []peer.AddrInfo
	for _, p := range peers {
		known = append(known, peer.AddrInfo{ID: p})
	}
	r := &blockReactor{
		Reactor: blocksync.NewReactor(true, false, state, nil, blocks, nil, 0, blocksync.NopMetrics()), next: func() int64 { return 1 },
		meeting: meeting{known: func() []peer.AddrInfo { return known }}, reports: make(map[p2p.ID]p2p.Envelope), late: make(map[p2p.ID]*rate.Limiter),
	}
	r.Reactor.SetLogger(log.NewNopLogger())
	return r
}

func (r *blockReactor) say(p peer.ID, base, height int64) {
	r.Receive(p2p.Envelope{Src: fakePeer{id: key(p)}, ChannelID: blocksync.BlocksyncChannel, Message: &bcproto.StatusResponse{Base: base, Height: height}})
}

// shown is what CometBFT's block sync knows of peers: how many there are, and the highest block that one says to have.
type shown struct {
	peers   int
	highest int64
}

// witness is a log by which it is seen what CometBFT's reactor is given.
type witness struct {
	log.Logger
	seen map[string]int64 // heights by peer
}

func (w witness) Debug(_ string, keyvals ...any) {
	if s, ok := value(keyvals, "msg").(*bcproto.StatusResponse); ok {
		w.seen[fmt.Sprint(value(keyvals, "e.Src"))] = s.Height
	}
}

func (w witness) shown() (s shown) {
	for _, height := range w.seen {
		s.peers, s.highest = s.peers+1, max(s.highest, height)
	}
	return s
}

// How far others are counts when all who are known have said so, or had their time: the first may have nothing.
func TestMeeting(t *testing.T) {
	ids := make([]peer.ID, 3)
	for i := range ids {
		ids[i] = test.RandPeerIDFatal(t)
	}
	for name, c := range map[string]struct {
		speak []int // who says something, and after how many looks
		over  time.Duration
	}{
		"all at once":           {[]int{0, 0, 0}, meetInterval},
		"one after the other":   {[]int{0, 2, 4}, 4 * meetInterval},
		"one never":             {[]int{0, 0, 1 << 20}, meetTime},
		"nobody for a while":    {[]int{8, 8, 8}, 8 * meetInterval},
		"only one, who is slow": {[]int{1 << 20, 4, 1 << 20}, 4*meetInterval + meetTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var known []peer.AddrInfo
				for _, id := range ids {
					known = append(known, peer.AddrInfo{ID: id})
				}
				m, start, looks := meeting{known: func() []peer.AddrInfo { return known }}, time.Now(), 0
				for ; !m.over(func(id peer.ID) bool { return looks >= c.speak[slices.Index(ids, id)] }); looks++ {
					time.Sleep(meetInterval)
				}
				if took := time.Since(start); took != c.over {
					t.Errorf("over after %s, want %s", took, c.over)
				}
			})
		})
	}
}

// Until enough others have said how far they are, CometBFT is not shown that anybody is there; then it is, whoever has most first; and who does not keep what is needed is left out.
func TestReportsAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		empty, far, pruned := test.RandPeerIDFatal(t), test.RandPeerIDFatal(t), test.RandPeerIDFatal(t)
		r, seen := fetchingSide(t, empty, far, pruned), witness{log.NewNopLogger(), make(map[string]int64)}
		r.Reactor.SetLogger(seen)
		r.say(empty, 0, 0)
		r.say(pruned, 500, 1000)
		r.say(far, 1, 900)
		r.say(far, 1, 800) // overtaken by the one before
		if got := seen.shown(); got != (shown{}) {
			t.Errorf("before: %+v", got)
		}
		r.meet(t.Context())
		if got, want := seen.shown(), (shown{peers: 2, highest: 900}); got != want {
			t.Errorf("then: %+v, want %+v", got, want)
		}
		r.say(far, 1, 950)
		r.say(pruned, 500, 1001)
		if got, want := seen.shown(), (shown{peers: 2, highest: 950}); got != want {
			t.Errorf("later: %+v, want %+v", got, want)
		}
		r.RemovePeer(fakePeer{id: key(far)}, nil)
		r.say(far, 1, 10) // another run, which has lost its blocks
		if got, want := seen.shown(), (shown{peers: 2, highest: 10}); got != want {
			t.Errorf("when it came again: %+v, want %+v", got, want)
		}
	})
}

// Blocks that were asked for twice come twice. That is borne, and a flood of them is not.
func TestLateBlocks(t *testing.T) {
	r := fetchingSide(t)
	if err := r.Reactor.Start(); err == nil {
		defer r.Reactor.Stop()
	}
	data, err := (&bcproto.Message{Sum: &bcproto.Message_BlockResponse{BlockResponse: &bcproto.BlockResponse{Block: &cmtproto.Block{}}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	from := fakePeer{id: "sender"}
	if err := r.FilterMsgBytes(blocksync.BlocksyncChannel, from, data); err == nil {
		t.Error("a block was taken before any was asked for")
	}
	r.open = true
	for i := range lateBurst {
		if err := r.FilterMsgBytes(blocksync.BlocksyncChannel, from, data); err != nil {
			t.Fatalf("late block %d: %v", i, err)
		}
	}
	if err := r.FilterMsgBytes(blocksync.BlocksyncChannel, from, data); err == nil {
		t.Error("a flood of them is borne")
	}
	if err := r.FilterMsgBytes(blocksync.BlocksyncChannel, fakePeer{id: "other"}, data); err != nil {
		t.Errorf("another peer's: %v", err)
	}
	many := &cmtproto.Block{LastCommit: &cmtproto.Commit{Signatures: make([]cmtproto.CommitSig, types.MaxVotesCount+1)}}
	if data, err = (&bcproto.Message{Sum: &bcproto.Message_BlockResponse{BlockResponse: &bcproto.BlockResponse{Block: many}}}).Marshal(); err != nil {
		t.Fatal(err)
	}
	if late(data) || late([]byte{0xff}) || late(nil) {
		t.Error("it would be decoded, whatever it is")
	}
}

// A validator of four that comes back behind the others fetches all that it lacks before it takes part, though its power is a quarter, which CometBFT takes for a third.
func TestNoEarlyConsensus(t *testing.T) {
	t.Parallel()
	n := newNet(t, "early", 4, tcp4)
	for i := range n.genesis.Validators {
		n.genesis.Validators[i].Power = 1
	}
	n.start()
	n.commit("all", n.nodes[0], n.nodes...)
	away := n.nodes[3]
	away.halt()
	for i := range 12 {
		n.commit(fmt.Sprint("without", i), n.nodes[0], n.nodes[:3]...)
	}
	lacking := n.nodes[0].engine.LatestHeight()
	away.start()
	parts, err := away.engine.running()
	if err != nil {
		t.Fatal(err)
	}
	for parts.guard.syncing.Load() {
		time.Sleep(time.Millisecond)
	}
	if height := away.engine.LatestHeight(); height < lacking-1 { // consensus itself has the last one
		t.Errorf("it took part at height %d, others were at %d", height, lacking)
	}
	n.commit("together", away, n.nodes...)
}

// A node that comes back, and meets one first that has nothing, waits for those that have more.
func TestFirstMetHasNothing(t *testing.T) {
	t.Parallel()
	n := newNet(t, "nothing", 4, tcp4)
	n.start()
	n.commit("all", n.nodes[0], n.nodes...)
	n.halt(n.nodes...)
	away, fresh := n.nodes[3], n.addNode(false)
	fresh.start()
	away.start()
	parts, err := away.engine.running()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the one that has nothing", func() bool { return parts.swtch.Peers().Has(key(fresh.host.ID())) })
	for end := time.Now().Add(meetTime / 2); time.Now().Before(end) && parts.guard.syncing.Load(); time.Sleep(10 * time.Millisecond) {
	}
	if !parts.guard.syncing.Load() {
		t.Error("it took part with nobody but one that has nothing")
	}
	for _, node := range n.nodes[:3] {
		node.start()
	}
	n.commit("together", away, n.nodes...)
}
