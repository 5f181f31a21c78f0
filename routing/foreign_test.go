package routing_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/routing/routingtest"
	"github.com/folkmoot/folkmoot/swarm"
)

// foreignMemory is a ForeignStore in memory.
type foreignMemory struct {
	mu        sync.Mutex
	values    map[string]string          // guarded by mu
	providers map[string][]peer.AddrInfo // guarded by mu
	err       error                      // guarded by mu; what every operation fails with
	block     chan struct{}              // guarded by mu; until it is closed operations wait
}

func (m *foreignMemory) enter(ctx context.Context) error {
	m.mu.Lock()
	block, err := m.block, m.err
	m.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (m *foreignMemory) Value(ctx context.Context, key []byte) (routing.ForeignValue, error) {
	if err := m.enter(ctx); err != nil {
		return routing.ForeignValue{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[string(key)]
	if !ok {
		return routing.ForeignValue{}, fault.New(fault.NotFound, "none")
	}
	return routing.ForeignValue{Value: []byte(v), Received: time.Now()}, nil
}

func (m *foreignMemory) PutValue(ctx context.Context, _ peer.ID, key, value []byte) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[string(key)] = string(value)
	return nil
}

func (m *foreignMemory) AddProvider(ctx context.Context, key []byte, p peer.AddrInfo) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.providers[string(key)] = append(m.providers[string(key)], p)
	return nil
}

func (m *foreignMemory) Providers(ctx context.Context, key []byte) ([]peer.AddrInfo, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.providers[string(key)]), nil
}

func (m *foreignMemory) set(change func(*foreignMemory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// foreignLab is a node and a stranger to it, in simulated time.
type foreignLab struct {
	t        *testing.T
	kademlia *routing.Kademlia
	viewer   *routingtest.Viewer
	store    *foreignMemory
	protocol protocol.ID
	node     host.Host
	stranger host.Host
}

func withStranger(t *testing.T, f func(t *testing.T, l *foreignLab)) {
	synctest.Test(t, func(t *testing.T) {
		sim := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(labLatency), Logger: slog.New(slog.DiscardHandler)}
		sim.Start()
		defer sim.Close()
		id := openNetwork(t, "foreign")
		l := &foreignLab{
			t: t, protocol: id.Protocol("kad/1.0.0"), store: &foreignMemory{values: map[string]string{}, providers: map[string][]peer.AddrInfo{}},
		}
		link := simnet.LinkSettings{BitsPerSecond: 1000 * simlibp2p.OneMbps}
		for ip, h := range map[string]*host.Host{"1.0.0.1": &l.node, "1.0.0.2": &l.stranger} {
			made, err := swarm.NewHost(swarm.Config{Key: newKey(t), Network: id, Listen: []ma.Multiaddr{ma.StringCast("/ip4/" + ip + "/udp/4242/quic-v1")}},
				simlibp2p.QUICSimnet(sim, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}))
			if err != nil {
				t.Fatal(err)
			}
			defer made.Close()
			*h = made
		}
		l.viewer = routingtest.NewViewer(l.node.ID())
		var err error
		if l.kademlia, err = routing.NewKademlia(routing.KademliaConfig{Host: l.node, Network: id, Viewer: l.viewer}); err != nil {
			t.Fatal(err)
		}
		defer l.kademlia.Close()
		if err := l.stranger.Connect(t.Context(), peer.AddrInfo{ID: l.node.ID(), Addrs: l.node.Addrs()}); err != nil {
			t.Fatal(err)
		}
		f(t, l)
	})
}

func (l *foreignLab) open() network.Stream {
	l.t.Helper()
	s, err := l.stranger.NewStream(l.t.Context(), l.node.ID(), l.protocol)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// send writes a request; the node may have reset the stream already.
func send(t *testing.T, s network.Stream, m *pb.Message) {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write(append(binary.AppendUvarint(nil, uint64(len(data))), data...))
}

// receive returns the response, or the error of a stream that was reset.
func receive(s network.Stream) (*pb.Message, error) {
	r := bufio.NewReader(s)
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	m := new(pb.Message)
	return m, proto.Unmarshal(data, m)
}

// ask makes one request on a stream of its own.
func (l *foreignLab) ask(m *pb.Message) (*pb.Message, error) {
	l.t.Helper()
	s := l.open()
	defer s.Reset()
	send(l.t, s, m)
	return receive(s)
}

func (l *foreignLab) mustAsk(m *pb.Message) *pb.Message {
	l.t.Helper()
	resp, err := l.ask(m)
	if err != nil {
		l.t.Fatalf("%s: %v", m.Type, err)
	}
	return resp
}

func put(key, value string) *pb.Message {
	return &pb.Message{Type: pb.Message_PUT_VALUE, Key: []byte(key), Record: &recpb.Record{Key: []byte(key), Value: []byte(value)}}
}

func (l *foreignLab) provider(id peer.ID, addrs ...string) *pb.Message {
	p := &pb.Message_Peer{Id: []byte(id)}
	for _, a := range addrs {
		p.Addrs = append(p.Addrs, ma.StringCast(a).Bytes())
	}
	return &pb.Message{Type: pb.Message_ADD_PROVIDER, Key: []byte("k"), ProviderPeers: []*pb.Message_Peer{p}}
}

func TestForeignPeersUseTheStore(t *testing.T) {
	withStranger(t, func(t *testing.T, l *foreignLab) {
		l.kademlia.ServeForeign(l.store)
		request := put("/v/k", "value")
		request.CloserPeers = []*pb.Message_Peer{{Id: []byte("somebody")}}
		if echo := l.mustAsk(request); string(echo.Record.GetValue()) != "value" || len(echo.CloserPeers) != 0 {
			t.Errorf("a put was answered with %v", echo)
		}
		got := l.mustAsk(&pb.Message{Type: pb.Message_GET_VALUE, Key: []byte("/v/k")})
		received, err := time.Parse(time.RFC3339, got.Record.GetTimeReceived())
		if string(got.Record.GetValue()) != "value" || string(got.Record.GetKey()) != "/v/k" || err != nil || time.Since(received) > time.Second {
			t.Errorf("a get was answered with %v", got)
		}
		if got := l.mustAsk(&pb.Message{Type: pb.Message_GET_VALUE, Key: []byte("/v/none")}); got.Record != nil {
			t.Errorf("what is not there was answered with %v", got)
		}

		s := l.open() // several requests share it, one of them without an answer
		self := l.stranger.ID()
		send(t, s, l.provider(self, "/ip4/1.0.0.2/tcp/1", "/ip4/1.0.0.2/tcp/2/p2p/"+self.String(), "/ip4/1.0.0.9/tcp/2/p2p/"+l.node.ID().String()))
		send(t, s, &pb.Message{Type: pb.Message_GET_PROVIDERS, Key: []byte("k")})
		found, err := receive(s)
		if err != nil {
			t.Fatal(err)
		}
		infos := pb.PBPeersToPeerInfos(found.ProviderPeers)
		want := []ma.Multiaddr{ma.StringCast("/ip4/1.0.0.2/tcp/1"), ma.StringCast("/ip4/1.0.0.2/tcp/2")}
		if len(infos) != 1 || infos[0].ID != self || !slices.EqualFunc(infos[0].Addrs, want, ma.Multiaddr.Equal) {
			t.Errorf("providers %v, want %s at %v", infos, self, want)
		}
		if pong := l.mustAsk(&pb.Message{Type: pb.Message_PING, ProviderPeers: []*pb.Message_Peer{{Id: []byte("x")}}}); len(pong.ProviderPeers) != 0 {
			t.Errorf("a ping was answered with %v", pong)
		}
	})
}

func TestForeignRefusalsResetTheStream(t *testing.T) {
	withStranger(t, func(t *testing.T, l *foreignLab) {
		noStore := put("/v/k", "v")
		if resp, err := l.ask(noStore); err == nil {
			t.Errorf("without a store a put was answered with %v", resp)
		}
		l.kademlia.ServeForeign(l.store)
		mismatch := put("/v/k", "v")
		mismatch.Record.Key = []byte("/v/other")
		for name, m := range map[string]*pb.Message{
			"another key in the record": mismatch,
			"no record":                 {Type: pb.Message_PUT_VALUE, Key: []byte("/v/k")},
			"no key":                    {Type: pb.Message_GET_VALUE},
			"no such kind":              {Type: 77, Key: []byte("k")},
			"too large":                 put("/v/k", string(make([]byte, 100<<10))),
			"a provider of others":      l.provider(l.node.ID(), "/ip4/1.0.0.1/tcp/1"),
			"a provider nowhere":        l.provider(l.stranger.ID()),
		} {
			if resp, err := l.ask(m); err == nil {
				t.Errorf("%s: answered with %v", name, resp)
			}
		}
		l.store.set(func(m *foreignMemory) { m.err = fault.New(fault.Full, "no room") })
		for _, m := range []*pb.Message{put("/v/k", "v"), {Type: pb.Message_GET_VALUE, Key: []byte("k")}, {Type: pb.Message_GET_PROVIDERS, Key: []byte("k")}} {
			if resp, err := l.ask(m); err == nil {
				t.Errorf("%s: what the store refused was answered with %v", m.Type, resp)
			}
		}
		if len(l.store.values)+len(l.store.providers) != 0 {
			t.Errorf("stored: %v %v", l.store.values, l.store.providers)
		}
	})
}

// TestForeignAnswersNameWhoLives also shows that who is looked for is named first, whatever it is.
func TestForeignAnswersNameWhoLives(t *testing.T) {
	withKademlia(t, 4, func(t *testing.T, l *lab, kads []*routing.Kademlia) {
		asker, asked, dead := l.nodes[0], l.nodes[1], l.nodes[3]
		find := func(key string) []peer.ID {
			s, err := asker.host.NewStream(t.Context(), asked.host.ID(), asked.cfg.Network.Protocol("kad/1.0.0"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Reset()
			send(t, s, &pb.Message{Type: pb.Message_FIND_NODE, Key: []byte(key)})
			resp, err := receive(s)
			if err != nil {
				t.Fatal(err)
			}
			var ids []peer.ID
			for _, info := range pb.PBPeersToPeerInfos(resp.CloserPeers) {
				if len(info.Addrs) == 0 {
					t.Errorf("%s is named without an address", info.ID)
				}
				ids = append(ids, info.ID)
			}
			return ids
		}
		if got := find("any"); len(got) != 2 || slices.Contains(got, asker.host.ID()) || slices.Contains(got, asked.host.ID()) {
			t.Errorf("closer peers %v, want the two others", got)
		}
		for _, target := range []peer.ID{asked.host.ID(), asker.host.ID()} {
			if got := find(string(target)); len(got) == 0 || got[0] != target {
				t.Errorf("looking for %s gave %v", target, got)
			}
		}
		id := dead.host.ID()
		ip := dead.ip
		l.setCut(func(from, to string) bool { return from == ip || to == ip })
		l.wait("dead", deadWithin, l.nodes[:3], []*labNode{dead}, routing.Dead)
		if got := find("any"); slices.Contains(got, id) {
			t.Errorf("closer peers %v name the dead %s", got, id)
		}
	})
}

func TestForeignFloodIsSlowedDown(t *testing.T) {
	withStranger(t, func(t *testing.T, l *foreignLab) {
		l.kademlia.ServeForeign(l.store)
		// 250 puts at once and 25 a second are allowed.
		s, start := l.open(), time.Now()
		const puts = 350
		go func() {
			for range puts {
				send(t, s, put("/v/k", "v"))
			}
		}()
		r := bufio.NewReader(s)
		for range puts {
			size, err := binary.ReadUvarint(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Discard(int(size)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 3900*time.Millisecond || took > 5*time.Second {
			t.Errorf("%d puts took %v, want the 100 beyond the first 250 at 25 a second", puts, took)
		}
	})
}

func TestForeignStreamsAreBounded(t *testing.T) {
	withStranger(t, func(t *testing.T, l *foreignLab) {
		l.kademlia.ServeForeign(l.store)
		const most = 32
		var streams []network.Stream
		for range most {
			s := l.open()
			send(t, s, &pb.Message{Type: pb.Message_PING})
			if _, err := receive(s); err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		if _, err := l.ask(&pb.Message{Type: pb.Message_PING}); err == nil {
			t.Errorf("stream %d was served", most+1)
		}
		// A stream that says nothing for a minute ends, and makes room.
		time.Sleep(61 * time.Second)
		for _, s := range streams {
			if _, err := s.Read(make([]byte, 1)); err == nil {
				t.Error("an idle stream is open still")
			}
		}
		l.mustAsk(&pb.Message{Type: pb.Message_PING})
	})
}

// TestForeignCloseEndsWhatIsUnderWay: the store hangs, and Close does not.
func TestForeignCloseEndsWhatIsUnderWay(t *testing.T) {
	withStranger(t, func(t *testing.T, l *foreignLab) {
		l.kademlia.ServeForeign(l.store)
		l.store.set(func(m *foreignMemory) { m.block = make(chan struct{}) })
		s := l.open()
		send(t, s, put("/v/k", "v"))
		synctest.Wait()
		start := time.Now()
		if err := l.kademlia.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("Close took %v", took)
		}
		if resp, err := receive(s); err == nil {
			t.Errorf("answered with %v", resp)
		}
		if len(l.store.values) != 0 {
			t.Errorf("stored %v", slices.Collect(maps.Keys(l.store.values)))
		}
	})
}
