package admission

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

const (
	// visitTime bounds a visit to one member.
	visitTime = 20 * time.Second
	// lobbyPatience is how long a visitor waits for a member to speak: it speaks at once to strangers, and never to members.
	lobbyPatience = 5 * time.Second
	// joinWindow is for how long the transaction of a joiner is good.
	joinWindow = 2 * time.Minute
)

// ErrMember says that a visitor was let in as a member is: it has joined before.
var ErrMember = fault.New(fault.Conflict, "this peer is a member already")

// Visitor is somebody who has an invite and is no member yet. It is a host of its own, which listens nowhere. Make it with NewVisitor, and close it.
type Visitor struct {
	line     *Line
	host     host.Host
	streams  chan network.Stream // what members open
	closed   chan struct{}       // of capacity 1: a member has closed the connection
	answered peer.ID             // who has answered last
	// transaction is the same at each try: the ledger then admits once, whoever was asked.
	transaction []byte
}

// Invitation is what an invite is to, as far as it could be checked.
type Invitation struct {
	Offer
	// Genesis is the network's, which the line names.
	Genesis *ledger.Genesis
	// From is the member who said the rest.
	From peer.ID
}

// NewVisitor returns a visitor with the identity that is to be admitted.
func NewVisitor(line *Line, key crypto.PrivKey) (*Visitor, error) {
	v := &Visitor{line: line, streams: make(chan network.Stream), closed: make(chan struct{}, 1)}
	var err error
	v.host, err = swarm.NewVisitor(swarm.Config{Key: key, Network: swarm.NetworkID(line.Network)})
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	v.host.Network().Notify(&network.NotifyBundle{DisconnectedF: func(network.Network, network.Conn) {
		select {
		case v.closed <- struct{}{}:
		default:
		}
	}})
	v.host.SetStreamHandler(LobbyProtocol(swarm.NetworkID(line.Network)), func(s network.Stream) {
		select {
		case v.streams <- s:
		case <-time.After(visitTime):
			_ = s.Reset()
		}
	})
	return v, nil
}

// Close ends the visit.
func (v *Visitor) Close() error { return v.host.Close() }

// Ask asks the members of the line, one after the other until one answers, what the invite is to. Errors are fault.Unavailable when none can be reached, fault.NotFound for an invite that is revoked or has expired, fault.Conflict for
// one that is used up, fault.Forbidden for who was expelled, ErrMember for who has joined before, and fault.Invalid when a member shows another genesis than the line names.
func (v *Visitor) Ask(ctx context.Context) (*Invitation, error) {
	var inv *Invitation
	secret := v.line.Secret.Key(v.line.Network)
	err := v.each(ctx, func(ctx context.Context, to peer.ID) error {
		answer, err := v.say(ctx, to, askKind, appendAsk(secret, v.line.Network, v.host.ID(), to))
		if err != nil {
			return err
		}
		offer, genesis, err := parseOffer(answer)
		if err != nil {
			return fmt.Errorf("ask %s: %w", to, err)
		}
		if genesis.ID() != v.line.Network || !genesis.MembersOnly() {
			return fault.New(fault.Invalid, "%s shows the genesis of the network %s, and the invite is to %s: somebody else is at that address, or the invite was tampered with", to, genesis.ID(), v.line.Network)
		}
		inv = &Invitation{Offer: *offer, Genesis: genesis, From: to}
		return nil
	})
	return inv, err
}

// Join has the members of the line admit this peer under a name, and returns the receipt that it is a member now. Where one has admitted it and could not say so, the next one takes it for the member that it is, and shows the receipt.
// Errors are those of Ask, but for ErrMember.
func (v *Visitor) Join(ctx context.Context, inv *Invitation, name string) (proof []byte, err error) {
	if v.transaction == nil {
		if v.transaction, err = v.admission(name); err != nil {
			return nil, err
		}
	}
	err = v.each(ctx, func(ctx context.Context, to peer.ID) error {
		answer, err := v.say(ctx, to, joinKind, v.transaction)
		if errors.Is(err, ErrMember) {
			answer, err = fetch(ctx, v.host, swarm.NetworkID(v.line.Network), to)
		}
		if err != nil {
			return err
		}
		proof = answer
		return v.proves(inv.Genesis, to, answer)
	})
	return proof, err
}

// Receipt returns the proof that this peer is a member of the network with a genesis, of one that has joined before: from the members of the line, which let it in. Errors are those of Ask.
func (v *Visitor) Receipt(ctx context.Context, genesis *ledger.Genesis) (proof []byte, err error) {
	err = v.each(ctx, func(ctx context.Context, to peer.ID) error {
		if proof, err = fetch(ctx, v.host, swarm.NetworkID(v.line.Network), to); err != nil {
			return err
		}
		return v.proves(genesis, to, proof)
	})
	return proof, err
}

// fetch asks a member, which takes this host for one, for its receipt of the members.
func fetch(ctx context.Context, h host.Host, network swarm.NetworkID, from peer.ID) ([]byte, error) {
	client, err := rpc.NewClient(rpc.ClientConfig{Host: h, Protocol: network.Protocol(rosterName), MaxMessage: MaxReceipt, MaxInFlight: 1})
	if err != nil {
		return nil, fmt.Errorf("ask for the members: %w", err)
	}
	defer client.Close()
	answer, err := client.Call(ctx, from, rosterRequest(ledger.Roster{}, 0))
	if err == nil && len(answer) == 0 {
		err = errors.New("it has none yet")
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "ask member %s for a receipt: %w", from, err)
	}
	return answer, nil
}

// Fetch has a book learn who the members are from somebody whom it does not know, but who knows this node: after a long absence, or where an operator has admitted it by its id. It is a visit with a host of its own, as
// the node's own host dials members alone. What is answered is believed only if it is proven. Errors are fault.Unavailable when nobody answers, and fault.Invalid for what proves nothing.
func Fetch(ctx context.Context, b *Book, key crypto.PrivKey, network swarm.NetworkID, from peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	h, err := swarm.NewVisitor(swarm.Config{Key: key, Network: network})
	if err != nil {
		return fmt.Errorf("ask for the members: %w", err)
	}
	defer h.Close()
	h.Peerstore().AddAddrs(from.ID, from.Addrs, peerstore.TempAddrTTL)
	proof, err := fetch(ctx, h, network, from.ID)
	if err != nil {
		return err
	}
	return b.Adopt(proof)
}

// proves checks that a receipt that somebody gave says that this peer is a member.
func (v *Visitor) proves(genesis *ledger.Genesis, by peer.ID, receipt []byte) error {
	s, err := Prove(genesis, receipt)
	if err != nil {
		return fmt.Errorf("the receipt of %s: %w", by, err)
	}
	if m, ok := s.Members[string(v.host.ID())]; !ok || m.Until != 0 {
		return fault.New(fault.Invalid, "the receipt of %s does not say that this peer is a member", by)
	}
	return nil
}

// admission returns the transaction that makes this peer a member, signed by the invite's key.
func (v *Visitor) admission(name string) ([]byte, error) {
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, fmt.Errorf("make a transaction: %w", err)
	}
	secret := v.line.Secret.Key(v.line.Network)
	keys := KeySetOf(secret)
	t := &ledger.Transaction{Body: ledger.Body{
		ValidUntil: time.Now().Add(joinWindow).UnixMilli(), Salt: binary.BigEndian.Uint64(salt[:]),
		Operations: []ledger.Operation{&ledger.Admit{By: keys.ID(), Member: string(v.host.ID()), Name: name}},
	}}
	if err := t.Sign(v.line.Network, keys.ID(), &keys, secret); err != nil {
		return nil, err
	}
	return ledger.EncodeTransaction(t)
}

// each tries the members of the line until one has answered: the one that answered last, and then the others in the order of the line. What one says for good ends it, but for one that does not know the invite: its copy of
// the ledger may lag.
func (v *Visitor) each(ctx context.Context, visit func(ctx context.Context, to peer.ID) error) error {
	var failed, missing error
	for _, to := range v.members() {
		one, cancel := context.WithTimeout(ctx, visitTime)
		err := visit(one, to)
		cancel()
		switch kind := fault.KindOf(err); {
		case err == nil:
			v.answered = to
			return nil
		case ctx.Err() != nil:
			return err
		case kind == fault.NotFound:
			missing = err
		case kind == fault.Unavailable:
			failed = errors.Join(failed, err)
		default:
			return err
		}
	}
	if missing != nil {
		return missing
	}
	return failed
}

// members returns those of the line in the order in which they are to be tried. Their addresses are known to the host afterwards.
func (v *Visitor) members() (ids []peer.ID) {
	for _, addr := range v.line.Addrs {
		transport, id := peer.SplitAddr(addr)
		if transport != nil {
			v.host.Peerstore().AddAddr(id, transport, peerstore.TempAddrTTL)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if i := slices.Index(ids, v.answered); i > 0 {
		ids = slices.Insert(slices.Delete(ids, i, i+1), 0, v.answered)
	}
	return ids
}

// say connects to a member, makes one request and parts.
func (v *Visitor) say(ctx context.Context, to peer.ID, kind requestKind, payload []byte) ([]byte, error) {
	if to == v.host.ID() {
		return nil, fault.New(fault.Conflict, "the invite is of this very node")
	}
	select {
	case <-v.closed: // the end of an earlier visit
	default:
	}
	if _, err := v.host.Network().DialPeer(network.WithForceDirectDial(ctx, "join"), to); err != nil {
		return nil, fault.New(fault.Unavailable, "reach member %s: %w", to, err)
	}
	defer v.leave(to)
	patience := time.NewTimer(lobbyPatience)
	defer patience.Stop()
	var s network.Stream
	select {
	case s = <-v.streams:
	case <-v.closed:
		return nil, fault.New(fault.Unavailable, "member %s closed the door without a word: it is of another network than the invite, or has too many at its door; try again, or ask for a new invite", to)
	case <-ctx.Done():
		return nil, fault.New(fault.Unavailable, "member %s says nothing: %w", to, context.Cause(ctx))
	case <-patience.C:
		return nil, ErrMember
	}
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	if s.Conn().RemotePeer() != to {
		return nil, fault.New(fault.Unavailable, "member %s: another peer answered", to)
	}
	verdict, answer, err := exchange(s, kind, payload)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "talk with member %s: %w", to, err)
	}
	_ = s.CloseWrite()
	return answer, verdict.err(to)
}

// leave closes the connection, and waits until that is known, so that it is not taken for the end of the next visit.
func (v *Visitor) leave(to peer.ID) {
	select {
	case <-v.closed:
		return
	default:
	}
	_ = v.host.Network().ClosePeer(to)
	select {
	case <-v.closed:
	case <-time.After(time.Second):
	}
}
