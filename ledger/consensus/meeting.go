package consensus

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// meetInterval is how often it is looked who is there, and meetTime how long those who are known may take to say how far they are, after the first of them has.
	meetInterval = keepInterval / 4
	meetTime     = 3 * time.Second
)

// meeting tells when enough others have said how far they are to judge by it. The first who answers may have as little as this node, or less.
type meeting struct {
	known func() []peer.AddrInfo
	self  peer.ID

	first time.Time // when somebody had spoken for the first time
	count int       // how many were known when it was last looked
}

// over reports whether all who are known have spoken, and no more became known since it was last asked, or they were given their time. It is asked every meetInterval.
func (m *meeting) over(spoke func(peer.ID) bool) bool {
	count, silent := 0, 0
	for _, p := range m.known() {
		if p.ID == m.self {
			continue
		}
		count++
		if !spoke(p.ID) {
			silent++
		}
	}
	settled := count == m.count && silent == 0
	m.count = count
	if m.first.IsZero() {
		if silent == count {
			return false
		}
		m.first = time.Now()
	}
	return settled || time.Since(m.first) >= meetTime
}
