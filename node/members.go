package node

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery/peercache"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/admission"
	"github.com/folkmoot/folkmoot/ledger/replica"
	"github.com/folkmoot/folkmoot/swarm"
)

// lostInterval is how often a node that has nobody asks those whom it was told of, and does not know as members, who the members are.
const lostInterval = 5 * time.Second

// cutOffRoom is how long after the time of its end a former member's records are taken: an idle ledger's clock is that of the block before, up to a heartbeat ago, and what was acknowledged meanwhile must not be lost.
const cutOffRoom = 30 * time.Second

// members are the parts that a network for members only has.
type members struct {
	book     *admission.Book
	lobby    *admission.Lobby
	follower *admission.Follower
	chain    atomic.Pointer[chain] // nil while the ledger is not open, or for good
	refused  chan refusal          // of capacity 1: the first that was not looked at yet
}

// refusal is what a member said at its door.
type refusal struct {
	by  peer.ID
	err error
}

// openMembers reads who the members are, where the network is for members only.
func (n *Node) openMembers(crypto.PrivKey) error {
	g := n.home.Genesis
	if g == nil || !g.MembersOnly() {
		return nil
	}
	log := n.cfg.Logger.With("part", "members")
	book, err := admission.OpenBook(admission.BookConfig{Genesis: g, Self: n.home.ID, Path: filepath.Join(n.cfg.Home, membersFile), Logger: log})
	if err != nil {
		return fmt.Errorf("open the members: %w", err)
	}
	m := &members{book: book, refused: make(chan refusal, 1)}
	n.members = m
	if err := n.checkMembership(); err != nil {
		return err
	}
	m.lobby = admission.NewLobby(admission.LobbyConfig{Genesis: g, Self: n.home.ID, Book: book, Ledger: m.ledger, Logger: log})
	return nil
}

// checkMembership is fault.Forbidden for a node that was expelled, as far as is known here, unless it is told that it may come back.
func (n *Node) checkMembership() error {
	if _, former := n.members.book.Former(n.home.ID); !former || n.cfg.Rejoin {
		return nil
	}
	return fmt.Errorf("this node can't go on: %w", n.members.book.Standing(n.home.ID))
}

func (n *Node) gate() swarm.Gate {
	if n.members == nil {
		return swarm.OpenGate{}
	}
	return n.members.book
}

// admits reports whether a peer is the node itself, or one that its gate lets in.
func (n *Node) admits(p peer.ID) bool {
	return p == n.home.ID || n.gate().AdmitPeer(p, nil, network.DirInbound) == nil
}

func (n *Node) reception() *swarm.Reception {
	if n.members == nil {
		return nil
	}
	return n.members.lobby.Reception(n.home.NetworkID)
}

// allowed returns who may be in the view of the network; nil: everybody.
func (n *Node) allowed() func(peer.ID) bool {
	if n.members == nil {
		return nil
	}
	return n.members.book.Allowed
}

// authors returns who may have written records, and when; nil: everybody at any time.
func (n *Node) authors() func(peer.ID, time.Time) error {
	if n.members == nil {
		return nil
	}
	return func(p peer.ID, written time.Time) error {
		if n.members.book.Allowed(p) {
			return nil
		}
		until, former := n.members.book.Former(p)
		if p == n.home.ID && !former {
			return nil // others know, perhaps, before the blocks are here
		}
		if !former {
			return fault.New(fault.Unavailable, "put off: the author %s is not a member that is known here", p)
		}
		if written.After(until.Add(cutOffRoom)) {
			return fault.New(fault.Forbidden, "the author %s was no member any more at %s, when the record was written", p, written.UTC().Format(time.RFC3339))
		}
		return nil
	}
}

// ledger returns the node's copy for the lobby; nil: it has none.
func (m *members) ledger() admission.Ledger {
	if c := m.chain.Load(); c != nil {
		return c
	}
	return nil
}

// followMembers begins to tell others who the members are, and to follow the ledger.
func (n *Node) followMembers(crypto.PrivKey) (err error) {
	m := n.members
	if m == nil {
		return nil
	}
	cfg := admission.FollowerConfig{Host: n.host, Network: n.home.NetworkID, Book: m.book, Lobby: m.lobby, Refused: m.refuse, Logger: n.cfg.Logger.With("part", "members")}
	if n.ledger != nil {
		c := &chain{n.ledger}
		m.chain.Store(c)
		cfg.Chain = c
	}
	if m.follower, err = admission.Follow(cfg); err != nil {
		return err
	}
	n.onClose("close the members", m.follower.Close)
	return nil
}

// refuse takes note of a member that refuses this node.
func (m *members) refuse(by peer.ID, err error) {
	select {
	case m.refused <- refusal{by, err}:
	default:
	}
}

// enforceMembers parts from who is a member no more, until ctx ends. It returns fault.Forbidden when this node is none itself.
func (n *Node) enforceMembers(ctx context.Context) error {
	for {
		changed := n.members.book.Changed()
		if err := n.checkMembership(); err != nil {
			return err
		}
		n.membership.Evict()
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// disownFormer removes what former members wrote since, until ctx ends. Going through all records takes long, and who is expelled next must not win that time.
func (n *Node) disownFormer(ctx context.Context) error {
	disowned := 0 // how many there were when their records were last removed
	for {
		changed := n.members.book.Changed()
		if former := n.members.book.CountFormer(); former > disowned && n.disown(ctx) {
			disowned = former
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// heedRefusals weighs what members that refuse this node say, until ctx ends.
func (n *Node) heedRefusals(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-n.members.refused:
			if err := n.weighRefusal(r); err != nil {
				return err
			}
		}
	}
}

// findMembers asks those whom the node was told of and does not know as members who the members are, while it has nobody, until ctx ends.
func (n *Node) findMembers(ctx context.Context) error {
	key, err := swarm.LoadIdentity(filepath.Join(n.cfg.Home, identityFile))
	if err != nil {
		return err
	}
	tick := time.NewTicker(lostInterval)
	defer tick.Stop()
	for {
		if n.alone() {
			n.askStrangers(ctx, key)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// askStrangers asks those at the bootstrap addresses, one after the other.
func (n *Node) askStrangers(ctx context.Context, key crypto.PrivKey) {
	for _, addr := range n.cfg.Bootstrap {
		transport, id := peer.SplitAddr(addr)
		if id == "" && swarm.CanLearnPeerID(addr) {
			id, _ = swarm.LearnPeerID(ctx, addr)
		}
		if id == "" || transport == nil || id == n.home.ID || n.members.book.Allowed(id) || ctx.Err() != nil {
			continue
		}
		err := admission.Fetch(ctx, n.members.book, key, n.home.NetworkID, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{transport}})
		if err != nil {
			n.cfg.Logger.Debug("who is at a bootstrap address is not known as a member, and can't show otherwise", "peer", id, "address", addr, "error", err)
		}
	}
}

// disown removes what former members wrote when they were none any more, and tells whether that is done. It goes through all records, which is why it is not done at each change.
func (n *Node) disown(ctx context.Context) bool {
	removed, err := n.store.Disown(ctx)
	if err != nil && ctx.Err() == nil {
		n.cfg.Logger.Warn("what expelled peers wrote is not all removed", "error", err)
	}
	if removed > 0 {
		n.cfg.Logger.Info("removed what expelled peers wrote since", "records", removed)
	}
	return err == nil
}

// weighRefusal returns why the node can't go on, if it can't: nothing says that it is a member. One that knows itself for a member goes on until somebody proves otherwise, as does one that was told to enter again: it was
// admitted anew, which those who refuse it may not know yet.
func (n *Node) weighRefusal(r refusal) error {
	n.cfg.Logger.Warn("refused by a member", "by", r.by, "reason", r.err)
	if n.cfg.Rejoin || n.members.book.Allowed(n.home.ID) {
		return nil
	}
	return r.err
}

// chain is the node's copy of the ledger, as package admission needs it.
type chain struct{ *replica.Replica }

// Invite returns the invite of an account.
func (c *chain) Invite(account ledger.AccountID) (ledger.OpenInvite, bool, error) {
	return c.Replica.Invite(account)
}

// Submit hands in a transaction and waits until it is in a block.
func (c *chain) Submit(ctx context.Context, transaction []byte) (ledger.Code, error) {
	return c.Replica.Decide(ctx, transaction)
}

// Receipt returns the encoded proof of who the members are.
func (c *chain) Receipt(ctx context.Context) ([]byte, error) {
	r, err := c.MembersReceipt(ctx)
	if err != nil {
		return nil, err
	}
	return r.Encode()
}

// Members returns all members and former ones, after the block of a height.
func (c *chain) Members() (map[string]ledger.Member, ledger.Roster, int64, error) {
	list, roster, tip, err := c.Replica.Members()
	return list, roster, tip.Height, err
}

// JoinMembers makes home a node of a members-only network, of which it is a member by a receipt, which is checked.
//
// The peers at addrs, each ending in /p2p/ID, are those that it will look for first.
func JoinMembers(home string, genesis *ledger.Genesis, receipt []byte, addrs []ma.Multiaddr) (HomeInfo, error) {
	info, err := JoinHome(home, genesis)
	if err != nil {
		return info, err
	}
	book, err := admission.OpenBook(admission.BookConfig{Genesis: genesis, Self: info.ID, Path: filepath.Join(home, membersFile)})
	if err == nil {
		err = book.Adopt(receipt)
	}
	if err == nil {
		err = book.Standing(info.ID)
	}
	if err != nil {
		return info, fmt.Errorf("keep the receipt of membership: %w", err)
	}
	return info, rememberPeers(filepath.Join(home, peersFile), addrs)
}

// rememberPeers writes a peer cache of peers that were met just now.
func rememberPeers(path string, addrs []ma.Multiaddr) error {
	infos, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return fmt.Errorf("remember the peers met: %w", err)
	}
	var entries []peercache.Entry
	for _, i := range infos {
		entries = append(entries, peercache.Entry{ID: i.ID, Addrs: i.Addrs, LastSeen: time.Now()})
	}
	if err := peercache.Save(path, entries); err != nil {
		return fmt.Errorf("remember the peers met: %w", err)
	}
	return nil
}

// IsMember reports whether the node of home is a member of its network, which is for members only, as far as is known there.
func IsMember(home string) (bool, error) {
	info, err := ReadHome(home)
	if err != nil || info.Genesis == nil || !info.Genesis.MembersOnly() {
		return false, err
	}
	book, err := admission.OpenBook(admission.BookConfig{Genesis: info.Genesis, Self: info.ID, Path: filepath.Join(home, membersFile)})
	if err != nil {
		return false, err
	}
	return book.Allowed(info.ID), nil
}
