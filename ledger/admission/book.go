package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/internal/pause"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/receipt"
)

const (
	// bookFormat is the version of the file; an older program refuses a newer one.
	bookFormat = 1
	// MaxReceipt is the most bytes of a receipt of members that is passed on.
	MaxReceipt = 6 << 20
	// maxBookFile is the most bytes of the file: a receipt as base64, and the members.
	maxBookFile = 16 << 20
	// proofPoll is how often somebody who waits for a proof looks for it.
	proofPoll = 50 * time.Millisecond
)

// BookConfig configures a Book.
type BookConfig struct {
	// Genesis is that of the network, which is for members only.
	Genesis *ledger.Genesis
	// Self is this node.
	Self peer.ID
	// Path is the file that keeps what is known.
	Path string
	// Logger may be nil.
	Logger *slog.Logger
}

// Book is who the members are, as far as this node knows. Its methods may be called from many goroutines.
type Book struct {
	cfg   BookConfig
	state atomic.Pointer[known]

	mu      sync.Mutex    // held by whoever changes state
	changed chan struct{} // guarded by mu; closed and replaced when members change
}

// known is one state of a Book; it never changes.
type known struct {
	height  int64 // of the block after which it was so
	members map[peer.ID]ledger.Member
	roster  ledger.Roster
	receipt []byte // proves it, perhaps of an earlier block; nil where nothing does yet
	proven  int64  // the height that the receipt is of
	sealed  bool   // the receipt proves the members as they are here
}

type bookDocument struct {
	Format  int                   `json:"format"`
	Ledger  ledger.Hash           `json:"ledger"`
	Height  int64                 `json:"height"`
	Members map[string]bookMember `json:"members"`
	Roster  bookRoster            `json:"roster"`
	Receipt []byte                `json:"receipt,omitempty"`
	Proven  int64                 `json:"proven,omitempty"`
	Sealed  bool                  `json:"sealed,omitempty"`
}

type bookMember struct {
	Name  string           `json:"name,omitempty"`
	By    ledger.AccountID `json:"by"`
	Until int64            `json:"until,omitempty"`
}

type bookRoster struct {
	Count  uint32      `json:"count"`
	Digest ledger.Hash `json:"digest"`
}

// OpenBook reads what was known, and begins with the members of the genesis where nothing was.
func OpenBook(cfg BookConfig) (*Book, error) {
	if cfg.Genesis == nil || !cfg.Genesis.MembersOnly() {
		return nil, fault.New(fault.Invalid, "members: the network is not for members only")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Book{cfg: cfg, changed: make(chan struct{})}
	k, err := b.load()
	if err != nil {
		return nil, fmt.Errorf("read the members known in %s: %w", cfg.Path, err)
	}
	if k == nil {
		k = founders(cfg.Genesis)
	}
	b.state.Store(k)
	return b, nil
}

// founders is what the genesis says. That of a ledger which goes on from another one says it of the first.
func founders(g *ledger.Genesis) *known {
	for g.Predecessor != nil {
		g = g.Predecessor.Genesis
	}
	k := &known{members: make(map[peer.ID]ledger.Member)}
	for _, m := range g.Members {
		id := ledger.MemberOf(m.Key)
		keys, _ := ledger.MemberAccount(id)
		k.members[peer.ID(id)] = ledger.Member{Name: m.Name, By: keys.ID()}
	}
	return k
}

func (b *Book) load() (*known, error) {
	st, err := os.Stat(b.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if st.Size() > maxBookFile {
		return nil, fault.New(fault.Invalid, "%d bytes, over the limit of %d", st.Size(), maxBookFile)
	}
	data, err := os.ReadFile(b.cfg.Path)
	if err != nil {
		return nil, err
	}
	return parseBook(data, b.cfg.Genesis.ID())
}

// parseBook reads the file's contents; nil where they are of another ledger, which this one goes on from.
func parseBook(data []byte, id ledger.Hash) (*known, error) {
	var d bookDocument
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fault.New(fault.Invalid, "it is damaged: %v", err)
	}
	if d.Format != bookFormat {
		return nil, fault.New(fault.Invalid, "format %d: this program reads format %d", d.Format, bookFormat)
	}
	k := &known{height: d.Height, members: make(map[peer.ID]ledger.Member, len(d.Members)), roster: ledger.Roster(d.Roster), receipt: d.Receipt, proven: d.Proven, sealed: d.Sealed}
	for text, m := range d.Members {
		p, err := peer.Decode(text)
		if err != nil {
			return nil, fault.New(fault.Invalid, "it is damaged: %q is no peer id", text)
		}
		k.members[p] = ledger.Member{Name: m.Name, By: m.By, Until: m.Until}
	}
	if d.Ledger != id { // heights and proofs are those of another ledger
		k.height, k.receipt, k.proven, k.sealed, k.roster = 0, nil, 0, false, ledger.Roster{}
	}
	return k, nil
}

func (b *Book) save(k *known) error {
	d := bookDocument{Format: bookFormat, Ledger: b.cfg.Genesis.ID(), Height: k.height, Members: make(map[string]bookMember, len(k.members)), Roster: bookRoster(k.roster), Receipt: k.receipt, Proven: k.proven, Sealed: k.sealed}
	for p, m := range k.members {
		d.Members[p.String()] = bookMember{m.Name, m.By, m.Until}
	}
	data, err := json.Marshal(d)
	if err == nil {
		err = atomicfile.Write(b.cfg.Path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the members known: %w", err)
	}
	return nil
}

// replace makes k the state. mu is held. What can't be written is used all the same: who is expelled must not stay because a disk is full.
func (b *Book) replace(k *known) {
	before := b.state.Swap(k)
	if err := b.save(k); err != nil {
		b.cfg.Logger.Warn("members are not remembered", "error", err)
	}
	if before.roster != k.roster || len(before.members) != len(k.members) {
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

// Learn takes over what the node's own copy of the ledger says after the block of a height. What is known of a later block stays.
func (b *Book) Learn(members map[string]ledger.Member, roster ledger.Roster, height int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.state.Load()
	if height < before.height || roster == before.roster {
		return
	}
	b.replace(&known{height: height, members: byPeer(members), roster: roster, receipt: before.receipt, proven: before.proven})
}

func byPeer(members map[string]ledger.Member) map[peer.ID]ledger.Member {
	list := make(map[peer.ID]ledger.Member, len(members))
	for id, m := range members {
		list[peer.ID(id)] = m
	}
	return list
}

// Adopt takes over what a receipt proves, if it is of a later block than what is known. It is fault.Invalid when it proves nothing.
func (b *Book) Adopt(data []byte) error { return b.adopt(data, -1) }

// adopt is Adopt for what must be of a later block than the given one.
func (b *Book) adopt(data []byte, after int64) error {
	s, err := Prove(b.cfg.Genesis, data)
	if err != nil {
		return err
	}
	if s.Height <= after {
		return fault.New(fault.Invalid, "a receipt of block %d, where one after %d was asked for", s.Height, after)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.state.Load()
	switch {
	case s.Height < before.proven:
	case s.Height > before.height || s.Roster == before.roster:
		b.replace(&known{height: max(s.Height, before.height), members: byPeer(s.Members), roster: s.Roster, receipt: data, proven: s.Height, sealed: true})
	}
	return nil
}

// Prove returns what a receipt of members says, to somebody who trusts a genesis. It is fault.Invalid when it proves nothing, or something else.
func Prove(genesis *ledger.Genesis, data []byte) (receipt.Statement, error) {
	if len(data) > MaxReceipt {
		return receipt.Statement{}, fault.New(fault.Invalid, "a receipt of %d bytes: at most %d", len(data), MaxReceipt)
	}
	r, err := receipt.Parse(data)
	if err != nil {
		return receipt.Statement{}, err
	}
	if r.Members == nil || r.Network != genesis.ID() {
		return receipt.Statement{}, fault.New(fault.Invalid, "the receipt is not of the members of this network")
	}
	return r.Verify(light.Root{Genesis: genesis})
}

// Changed returns a channel that is closed at the next change of members. Call it before any other method, so that no change is missed.
func (b *Book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Allowed reports whether a peer is a member.
func (b *Book) Allowed(p peer.ID) bool {
	m, ok := b.state.Load().members[p]
	return ok && m.Until == 0
}

// Former returns when a peer's membership ended; false: it is a member, or never was one.
func (b *Book) Former(p peer.ID) (time.Time, bool) {
	m := b.state.Load().members[p]
	return time.UnixMilli(m.Until), m.Until != 0
}

// CountFormer returns how many were members and are none any more.
func (b *Book) CountFormer() (n int) {
	for _, m := range b.state.Load().members {
		if m.Until != 0 {
			n++
		}
	}
	return n
}

// Members returns all members and former ones, and the height of the block after which it was so. The map must not be changed.
func (b *Book) Members() (map[peer.ID]ledger.Member, int64) {
	k := b.state.Load()
	return k.members, k.height
}

// Receipt returns the proof that this node can show, and the height that it is of; nil where it has none.
func (b *Book) Receipt() ([]byte, int64) {
	k := b.state.Load()
	return k.receipt, k.proven
}

// awaitProof returns the proof of the members as they are known now, and nil when there is none before ctx ends.
func (b *Book) awaitProof(ctx context.Context) []byte {
	for {
		if k := b.state.Load(); k.receipt != nil && k.sealed {
			return k.receipt
		}
		if pause.For(ctx, proofPoll) != nil {
			return nil
		}
	}
}

// Height returns that of the block after which the members were as they are known.
func (b *Book) Height() int64 { return b.state.Load().height }

// Roster returns what all members are together.
func (b *Book) Roster() ledger.Roster { return b.state.Load().roster }

// Standing is nil for a member, and otherwise says why a peer is none: fault.Forbidden.
func (b *Book) Standing(p peer.ID) error {
	if b.Allowed(p) {
		return nil
	}
	if until, former := b.Former(p); former {
		return fault.New(fault.Forbidden, "%s was expelled from network %q, or replaced, at %s", p, b.cfg.Genesis.Network, until.UTC().Format(time.RFC3339))
	}
	return fault.New(fault.Forbidden, "%s is not a member of network %q", p, b.cfg.Genesis.Network)
}

// AdmitPeer implements swarm.Gate.
func (b *Book) AdmitPeer(p peer.ID, _ ma.Multiaddr, _ network.Direction) error { return b.Standing(p) }

// Proven reports whether the receipt is of the members as they are known now.
func (b *Book) Proven() bool {
	k := b.state.Load()
	return k.receipt != nil && k.sealed
}
