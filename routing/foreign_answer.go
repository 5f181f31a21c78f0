package routing

import (
	"bytes"
	"context"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// closerPeers is how many closer peers an answer names: Kademlia's k.
	closerPeers = 20
	// maxForeignAnswer is how large an answer may be before further providers are left out, in bytes. Everybody reads four times as much.
	maxForeignAnswer = 1 << 20
)

var errForeignRequest = fault.New(fault.Invalid, "a Kademlia request lacks what its kind needs")

// answer returns the response to a request, or nil when its kind has none.
func (f *foreignServer) answer(ctx context.Context, from peer.ID, req *pb.Message) (*pb.Message, error) {
	resp := pb.NewMessage(req.GetType(), req.GetKey(), req.GetClusterLevel())
	if len(req.GetKey()) == 0 && req.GetType() != pb.Message_PING {
		return nil, errForeignRequest
	}
	switch req.GetType() {
	case pb.Message_PING:
		return resp, nil
	case pb.Message_FIND_NODE:
		resp.Key = nil
		resp.CloserPeers = f.encode(f.withTarget(peer.ID(req.GetKey()), f.closer(req.GetKey(), from)))
		return resp, nil
	case pb.Message_GET_VALUE:
		return resp, f.value(ctx, from, resp)
	case pb.Message_PUT_VALUE:
		resp.Record = req.GetRecord()
		return resp, f.putValue(ctx, from, req)
	case pb.Message_GET_PROVIDERS:
		return resp, f.providers(ctx, from, resp)
	case pb.Message_ADD_PROVIDER:
		return nil, f.addProvider(ctx, from, req)
	}
	return nil, errForeignRequest
}

// value fills in what is under resp's key, if anything is, and who is nearer.
func (f *foreignServer) value(ctx context.Context, from peer.ID, resp *pb.Message) error {
	err := f.withStore(ctx, func(store ForeignStore) error {
		v, err := store.Value(ctx, resp.GetKey())
		if err != nil {
			return err
		}
		resp.Record = &recpb.Record{Key: resp.GetKey(), Value: v.Value, TimeReceived: v.Received.UTC().Format(time.RFC3339Nano)}
		return nil
	})
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	resp.CloserPeers = f.encode(f.closer(resp.GetKey(), from))
	return nil
}

func (f *foreignServer) putValue(ctx context.Context, from peer.ID, req *pb.Message) error {
	r := req.GetRecord()
	if r == nil || !bytes.Equal(r.GetKey(), req.GetKey()) {
		return errForeignRequest
	}
	return f.withStore(ctx, func(store ForeignStore) error { return store.PutValue(ctx, from, r.GetKey(), r.GetValue()) })
}

// providers fills in who provides what resp's key names, as many as fit, and who is nearer to the key.
func (f *foreignServer) providers(ctx context.Context, from peer.ID, resp *pb.Message) error {
	var found []peer.AddrInfo
	err := f.withStore(ctx, func(store ForeignStore) (err error) {
		found, err = store.Providers(ctx, resp.GetKey())
		return err
	})
	if err != nil {
		return err
	}
	resp.CloserPeers = f.encode(f.closer(resp.GetKey(), from))
	size := proto.Size(resp)
	for _, info := range found {
		p := pb.PeerInfoToPBPeer(f.kademlia.host.Network(), info)
		if size += proto.Size(p) + 8; size > maxForeignAnswer {
			break
		}
		resp.ProviderPeers = append(resp.ProviderPeers, p)
	}
	return nil
}

// addProvider takes what a peer says of itself; what it says of others is ignored.
func (f *foreignServer) addProvider(ctx context.Context, from peer.ID, req *pb.Message) error {
	for _, p := range req.GetProviderPeers() {
		if peer.ID(p.GetId()) != from {
			continue
		}
		info := peer.AddrInfo{ID: from, Addrs: plainAddrs(from, p.Addresses())}
		if len(info.Addrs) == 0 {
			break
		}
		return f.withStore(ctx, func(store ForeignStore) error { return store.AddProvider(ctx, req.GetKey(), info) })
	}
	return fault.New(fault.Forbidden, "a provider speaks for itself, and has an address")
}

// plainAddrs returns p's addresses without its id, those left out that name another peer.
func plainAddrs(p peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	var plain []ma.Multiaddr
	for _, a := range addrs {
		transport, id := peer.SplitAddr(a)
		if len(transport) > 0 && (id == "" || id == p) {
			plain = append(plain, transport)
		}
	}
	return plain
}

// closer returns the peers nearest to a key that are not known to be silent, neither this one nor who asks among them.
func (f *foreignServer) closer(key []byte, from peer.ID) []peer.AddrInfo {
	k := f.kademlia
	// Some of the nearest may be silent or lack addresses.
	nearest := k.dht.RoutingTable().NearestPeers(kbucket.ConvertKey(string(key)), 2*closerPeers)
	infos := make([]peer.AddrInfo, 0, closerPeers)
	for _, p := range nearest {
		if len(infos) == closerPeers {
			break
		}
		if p == from || p == k.host.ID() || !k.worthAsking(p) {
			continue
		}
		if addrs := f.addrsOf(p); len(addrs) > 0 {
			infos = append(infos, peer.AddrInfo{ID: p, Addrs: addrs})
		}
	}
	return infos
}

// withTarget puts the peer that is looked for first, whoever it is, if its addresses are known: the protocol wants that.
func (f *foreignServer) withTarget(target peer.ID, infos []peer.AddrInfo) []peer.AddrInfo {
	if len(infos) > 0 && infos[0].ID == target {
		return infos
	}
	addrs := f.addrsOf(target)
	if len(addrs) == 0 {
		return infos
	}
	return append([]peer.AddrInfo{{ID: target, Addrs: addrs}}, infos...)
}

func (f *foreignServer) addrsOf(p peer.ID) []ma.Multiaddr {
	if p == f.kademlia.host.ID() {
		return f.kademlia.host.Addrs()
	}
	if m, known := f.kademlia.viewer.View().Member(p); known && len(m.Addrs) > 0 {
		return m.Addrs
	}
	return f.kademlia.host.Peerstore().Addrs(p)
}

func (f *foreignServer) encode(infos []peer.AddrInfo) []*pb.Message_Peer {
	return pb.PeerInfosToPBPeers(f.kademlia.host.Network(), infos)
}
