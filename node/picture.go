package node

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

const (
	// rttStep and rttShare are what a round trip must change by to be told: microseconds, and a share of what it was.
	rttStep  = 500
	rttShare = 4
	// diskStep and diskShare are the same for the bytes that records use on disk.
	diskStep  = 64 << 10
	diskShare = 16
	// maxBlocksTold is how many blocks are told at once; those before are left out.
	maxBlocksTold = 32
)

// picture is how the network was around a node at a moment. It never changes.
type picture struct {
	at      time.Time
	network v1.Topology
	peers   map[string]v1.Peer
	links   map[string][]v1.Link // by the peer that they are told with
	records v1.Records
	ledger  *v1.Ledger // nil where the node keeps none
	// block returns what is told of the block at a height, false where that is not known any more.
	block func(height int64) (v1.BlockBrief, bool)
}

// newPicture completes a picture.
func newPicture(p picture) *picture {
	p.peers, p.links = make(map[string]v1.Peer, len(p.network.Peers)), make(map[string][]v1.Link)
	for _, peer := range p.network.Peers {
		p.peers[peer.ID] = peer
	}
	for _, l := range p.network.Links {
		of := l.From
		if l.Kind == v1.LinkConnection {
			of = l.To
		}
		p.links[of] = append(p.links[of], l)
	}
	return &p
}

// whole is the event that tells everything.
func (p *picture) whole() v1.NetworkEvent {
	return v1.NetworkEvent{Event: v1.NetworkState, Time: p.at, State: &v1.NetworkWhole{Topology: p.network, Records: p.records, Ledger: p.ledger}}
}

// changes returns what is different in now, in an order in which it can be told. What changes too little to be told is in now as it was.
func (p *picture) changes(now *picture) (events []v1.NetworkEvent) {
	for _, id := range slices.Sorted(maps.Keys(now.peers)) {
		peer, before := now.peers[id], p.peers[id]
		if !tellsOf(before, peer) && reflect.DeepEqual(withoutRTT(p.links[id]), withoutRTT(now.links[id])) {
			now.peers[id] = before // measured against what was told last
			continue
		}
		events = append(events, v1.NetworkEvent{Event: v1.NetworkPeer, Time: now.at, Peer: &peer, Links: now.links[id]})
	}
	for _, id := range slices.Sorted(maps.Keys(p.peers)) {
		if _, there := now.peers[id]; !there {
			events = append(events, v1.NetworkEvent{Event: v1.NetworkGone, Time: now.at, ID: id})
		}
	}
	if diskMoved := now.records.DiskBytes - p.records.DiskBytes; max(diskMoved, -diskMoved) < max(diskStep, p.records.DiskBytes/diskShare) {
		now.records.DiskBytes = p.records.DiskBytes // the disk tidies up all the time
	}
	if now.records != p.records {
		events = append(events, v1.NetworkEvent{Event: v1.NetworkRecords, Time: now.at, Records: &now.records})
	}
	return append(events, p.ledgerChanges(now)...)
}

// tellsOf says whether a peer changed in what is told.
func tellsOf(before, now v1.Peer) bool {
	moved := now.RTTMicros - before.RTTMicros
	if max(moved, -moved) > max(rttStep, before.RTTMicros/rttShare) {
		return true
	}
	before.RTTMicros, before.LastSeen = now.RTTMicros, now.LastSeen
	return !reflect.DeepEqual(before, now)
}

func withoutRTT(links []v1.Link) []v1.Link {
	links = slices.Clone(links)
	for i := range links {
		links[i].RTTMicros = 0
	}
	return links
}

func (p *picture) ledgerChanges(now *picture) (events []v1.NetworkEvent) {
	if p.ledger == nil || now.ledger == nil {
		return nil
	}
	for height := max(p.ledger.Height+1, now.ledger.Height-maxBlocksTold+1); height <= now.ledger.Height; height++ {
		if b, ok := now.block(height); ok {
			events = append(events, v1.NetworkEvent{Event: v1.NetworkBlock, Time: now.at, Block: &b})
		}
	}
	if !reflect.DeepEqual(lasting(*p.ledger), lasting(*now.ledger)) {
		events = append(events, v1.NetworkEvent{Event: v1.NetworkLedger, Time: now.at, Ledger: now.ledger})
	}
	return events
}

// lasting returns what of a ledger does not change with each block.
func lasting(l v1.Ledger) v1.Ledger {
	l.Height, l.Time, l.Root, l.Trust, l.First, l.Snapshots = 0, time.Time{}, "", "", 0, nil
	return l
}

// linksOf returns the links that a peer is told with: the connection of the node self to it, and those to the relays that it says it is reached through.
func linksOf(self string, p v1.Peer) (links []v1.Link) {
	if p.Connected && !p.Self {
		links = append(links, v1.Link{From: self, To: p.ID, Kind: v1.LinkConnection, Transports: p.Transports, Relayed: p.Relayed, RTTMicros: p.RTTMicros})
	}
	var relays []string
	for _, address := range p.Addresses {
		before, _, circuit := strings.Cut(address, "/p2p-circuit")
		if i := strings.LastIndex(before, "/p2p/"); circuit && i >= 0 {
			relays = append(relays, before[i+len("/p2p/"):])
		}
	}
	slices.Sort(relays)
	for _, relay := range slices.Compact(relays) {
		if relay != p.ID {
			links = append(links, v1.Link{From: p.ID, To: relay, Kind: v1.LinkRelay})
		}
	}
	return links
}
