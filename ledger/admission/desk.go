package admission

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/allowance"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// deskName is the name of the protocol by which a member without the ledger has one with it answer a stranger.
const deskName = "desk/1"

const (
	// passedPerSecond is how many requests of strangers one member may pass on a second, and passedAtOnce how many at once. Its lobby lets no more through than allPerSecond.
	passedPerSecond = 20
	passedAtOnce    = 40
	// maxPassing is how many requests of one member are at work at once.
	maxPassing = 8
	// maxDesks is how many members are asked for one stranger.
	maxDesks = 3
	// passTime bounds one of them, at both ends. All together have the time that a stranger is talked with.
	passTime = 6 * time.Second
)

// A desk lets members that can be reached, and keep no ledger, receive strangers: those with the ledger answer in their place. A stranger's request is signed for the member at whose door it is, which is proven to be the one that
// passes it on; so it is checked at the desk as it would be at its own door, and the member between can keep an answer back, but can't make an invite good. That what a member shows is the network's is for the stranger to check, here as there.
type desk struct {
	cfg      FollowerConfig
	protocol protocol.ID
	client   *rpc.Client // nil: this node has the ledger
	server   *rpc.Server // nil: it has not
	callers  *allowance.Each[peer.ID]
}

func newCallers() *allowance.Each[peer.ID] {
	return allowance.New[peer.ID](passedPerSecond, passedAtOnce, maxPlaces)
}

// openDesk begins to answer for other members where this node has the ledger, and to have others answer where it has not.
func openDesk(cfg FollowerConfig) (*desk, error) {
	d := &desk{cfg: cfg, protocol: cfg.Network.Protocol(deskName), callers: newCallers()}
	var err error
	if cfg.Chain != nil {
		d.server, err = rpc.NewServer(rpc.ServerConfig{Host: cfg.Host, Protocol: d.protocol, MaxMessage: 1 + MaxReceipt, MaxInFlight: maxPassing, Handler: d.serve, Logger: cfg.Logger})
	} else if d.client, err = rpc.NewClient(rpc.ClientConfig{Host: cfg.Host, Protocol: d.protocol, MaxMessage: 1 + MaxReceipt, MaxInFlight: maxPassing, Logger: cfg.Logger}); err == nil {
		cfg.Lobby.desk.Store(d)
	}
	if err != nil {
		return nil, fmt.Errorf("answer strangers for others: %w", err)
	}
	return d, nil
}

func (d *desk) close() error {
	if d.server != nil {
		return d.server.Close()
	}
	d.cfg.Lobby.desk.Store(nil)
	return d.client.Close()
}

// passOn has a member with the ledger answer.
func (d *desk) passOn(ctx context.Context, from peer.ID, kind requestKind, payload []byte) (verdict, []byte) {
	refused := refusedLedger
	for _, p := range d.members() {
		once, cancel := context.WithTimeout(ctx, passTime)
		answer, err := d.client.Call(once, p, appendPassed(from, kind, payload))
		cancel()
		if err == nil && (len(answer) == 0 || verdict(answer[0]) >= numVerdicts) {
			err = fault.New(fault.Invalid, "malformed answer")
		}
		if err != nil {
			d.cfg.Logger.Debug("a stranger's request was passed on in vain", "to", p, "error", err)
			continue
		}
		switch v := verdict(answer[0]); v {
		case refusedInvite: // its copy of the ledger may lag
			refused = v
		case refusedLedger, refusedBusy, refusedFailed:
			if refused != refusedInvite {
				refused = v
			}
		default:
			return v, answer[1:]
		}
	}
	return refused, nil
}

// members returns some connected members that have the ledger, in any order.
func (d *desk) members() (list []peer.ID) {
	for _, p := range d.cfg.Host.Network().Peers() {
		if spoken, err := d.cfg.Host.Peerstore().SupportsProtocols(p, d.protocol); err == nil && len(spoken) > 0 && d.cfg.Book.Allowed(p) {
			list = append(list, p)
		}
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(len(list), maxDesks)]
}

// serve answers a stranger that is at another member's door.
func (d *desk) serve(ctx context.Context, door peer.ID, request []byte) ([]byte, error) {
	from, kind, payload, ok := parsePassed(request)
	if !ok {
		return nil, fault.New(fault.Invalid, "malformed request of a stranger")
	}
	if !d.cfg.Book.Allowed(door) || !d.callers.Allow(door, time.Now()) {
		return []byte{byte(refusedBusy)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, passTime) // the other member waits for no longer
	defer cancel()
	l := d.cfg.Lobby
	v, answer := l.strange(from), []byte(nil)
	switch kind {
	case askKind:
		if account, ok := parseAsk(l.network, from, door, payload); ok {
			v, answer = l.offer(account)
		}
	case joinKind:
		if t, o := parseJoin(l.network, from, payload); t != nil {
			v, answer = l.admit(ctx, from, o, payload)
		}
	}
	return append([]byte{byte(v)}, answer...), nil
}

// appendPassed returns what a member passes on of a stranger: kind uint8, peer id<8>, and the payload of the stranger's request.
func appendPassed(from peer.ID, kind requestKind, payload []byte) []byte {
	b := append([]byte{byte(kind), byte(len(from))}, from...)
	return append(b, payload...)
}

// parsePassed reads it.
func parsePassed(data []byte) (from peer.ID, kind requestKind, payload []byte, ok bool) {
	s := cryptobyte.String(data)
	var first uint8
	var id cryptobyte.String
	if !s.ReadUint8(&first) || !s.ReadUint8LengthPrefixed(&id) || len(id) == 0 || len(id) > ledger.MaxMember {
		return "", 0, nil, false
	}
	switch kind = requestKind(first); kind {
	case askKind:
		ok = len(s) == askSize
	case joinKind:
		ok = len(s) <= maxJoin
	}
	return peer.ID(id), kind, s, ok
}
