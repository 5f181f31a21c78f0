package peercache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/internal/atomicfile"
)

const (
	// Version is the version of the file's form that this program writes and the newest that it reads.
	Version = 1
	// MaxFileSize is the length limit of the file, in bytes.
	MaxFileSize = 1 << 20
	// MaxEntries is how many peers the file holds.
	MaxEntries = 512
	// MaxAddrs is how many addresses it holds of each.
	MaxAddrs = 16
	// fileMode keeps other users of the machine from learning whom this node talks to.
	fileMode = 0o600
)

var (
	// ErrDamaged says that a file is not a peer cache; what it held is lost, which costs a slower start.
	ErrDamaged = errors.New("the peer cache is damaged")
	// ErrNewer says that a newer program wrote the file.
	ErrNewer = errors.New("the peer cache was written by a newer version of the program")
)

// Entry is a peer that was alive lately.
type Entry struct {
	ID       peer.ID
	Addrs    []ma.Multiaddr // 1 to MaxAddrs, without /p2p/ID at the end
	LastSeen time.Time      // in seconds
}

// document is the file's form.
type document struct {
	Version int            `json:"version"`
	Peers   []documentPeer `json:"peers"`
}

type documentPeer struct {
	ID       string    `json:"id"`
	Addrs    []string  `json:"addrs"`
	LastSeen time.Time `json:"last_seen"`
}

// Load reads the peers that Save wrote, newest first. A file that does not exist holds none. The error is ErrDamaged or
// ErrNewer, or that of reading.
func Load(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the peer cache: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the peer cache: %w", err)
	}
	entries, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return entries, nil
}

// Save replaces the file by one that holds the newest MaxEntries of entries, or fewer if they don't fit MaxFileSize. It is
// on the disk when Save returns, and a crash leaves the old file or the new one. Entries without a usable id or
// address are left out; of two with one id, the newer is kept.
func Save(path string, entries []Entry) error {
	if err := atomicfile.Write(path, encode(entries), fileMode); err != nil {
		return fmt.Errorf("write the peer cache: %w", err)
	}
	return nil
}

// decode reads a file strictly: what decode accepts, encode writes again with the same content.
func decode(b []byte) ([]Entry, error) {
	if len(b) > MaxFileSize {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrDamaged, MaxFileSize)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if head.Version > Version {
		return nil, fmt.Errorf("%w: it has version %d, this program reads up to %d", ErrNewer, head.Version, Version)
	}
	var doc document
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if doc.Version != Version || len(doc.Peers) > MaxEntries {
		return nil, fmt.Errorf("%w: version %d, %d peers", ErrDamaged, doc.Version, len(doc.Peers))
	}
	var entries []Entry
	for i, p := range doc.Peers {
		e, err := p.entry()
		if err != nil {
			return nil, fmt.Errorf("%w: peer %d: %w", ErrDamaged, i, err)
		}
		entries = append(entries, e)
	}
	return newest(entries), nil
}

func (p documentPeer) entry() (Entry, error) {
	id, err := peer.Decode(p.ID)
	if err != nil {
		return Entry{}, err
	}
	if len(p.Addrs) == 0 || len(p.Addrs) > MaxAddrs {
		return Entry{}, fmt.Errorf("%d addresses", len(p.Addrs))
	}
	e := Entry{ID: id, LastSeen: p.LastSeen}
	for _, s := range p.Addrs {
		addr, err := ma.NewMultiaddr(s)
		if err != nil {
			return Entry{}, err
		}
		if !storable(addr) {
			return Entry{}, fmt.Errorf("address %q", s)
		}
		e.Addrs = append(e.Addrs, addr)
	}
	return e, nil
}

// maxAddrSize is the length limit of an address in its text form, in bytes.
const maxAddrSize = 512

// storable returns whether addr can be written and read back.
func storable(addr ma.Multiaddr) bool {
	if transport, id := peer.SplitAddr(addr); len(transport) == 0 || id != "" {
		return false
	}
	text := addr.String()
	if len(text) > maxAddrSize || !utf8.ValidString(text) {
		return false
	}
	again, err := ma.NewMultiaddr(text)
	return err == nil && again.Equal(addr)
}

// encode returns the file that holds the newest of entries.
func encode(entries []Entry) []byte {
	doc := document{Version: Version, Peers: []documentPeer{}}
	size := encodedSize(doc)
	for _, e := range newest(entries) {
		p := documentPeer{ID: e.ID.String(), LastSeen: e.LastSeen}
		for _, addr := range e.Addrs {
			p.Addrs = append(p.Addrs, addr.String())
		}
		if size += encodedSize(p) + peerOverhead; size > MaxFileSize {
			break
		}
		doc.Peers = append(doc.Peers, p)
	}
	return marshal(doc)
}

// peerOverhead covers what the indentation, line ends and comma of a peer within the file add to it alone, in bytes.
const peerOverhead = 4 * (MaxAddrs + 8)

func encodedSize(v any) int { return len(marshal(v)) }

func marshal(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(fmt.Errorf("encode the peer cache: %w", err)) // not reached: strings and times between the years 0 and 9999 have a JSON form
	}
	return append(b, '\n')
}

// newest returns the newest MaxEntries of entries in the form in which they are stored, newest first and ties by id.
func newest(entries []Entry) []Entry {
	var kept []Entry
	for _, e := range entries {
		if _, err := peer.IDFromBytes([]byte(e.ID)); err != nil {
			continue
		}
		e.LastSeen = e.LastSeen.UTC().Truncate(time.Second)
		if y := e.LastSeen.Year(); y < 1 || y > 9999 {
			continue
		}
		e.Addrs = storableAddrs(e.Addrs)
		if len(e.Addrs) > 0 {
			kept = append(kept, e)
		}
	}
	slices.SortStableFunc(kept, func(a, b Entry) int {
		if c := b.LastSeen.Compare(a.LastSeen); c != 0 {
			return c
		}
		return bytes.Compare([]byte(a.ID), []byte(b.ID))
	})
	seen := make(map[peer.ID]bool)
	kept = slices.DeleteFunc(kept, func(e Entry) bool {
		again := seen[e.ID]
		seen[e.ID] = true
		return again
	})
	return kept[:min(len(kept), MaxEntries)]
}

func storableAddrs(addrs []ma.Multiaddr) []ma.Multiaddr {
	var kept []ma.Multiaddr
	for _, addr := range addrs {
		if len(kept) < MaxAddrs && storable(addr) && !ma.Contains(kept, addr) {
			kept = append(kept, addr)
		}
	}
	return kept
}
