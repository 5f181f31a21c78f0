package routing

import (
	"context"
	"crypto/sha256"
	"time"
)

const (
	// upkeepInterval is how often a node with a partial view looks for its nearest peers. It doubles up to upkeepLimit while it finds no others than those it knows.
	upkeepInterval = 30 * time.Second
	upkeepLimit    = 8 * time.Minute
	// upkeepTimeout bounds that.
	upkeepTimeout = 15 * time.Second
)

// upkeep looks this node's own place up now and then while its view is partial: that it knows its nearest peers is what lookups rely on.
func (m *Membership) upkeep(ctx context.Context) {
	interval := upkeepInterval
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
		switch {
		case !m.View().Partial || m.findNearest(ctx):
			interval = upkeepInterval
		default:
			interval = min(2*interval, upkeepLimit)
		}
	}
}

// findNearest looks this node's own place up and reports whether that led to peers that it should know and did not.
func (m *Membership) findNearest(ctx context.Context) (news bool) {
	ctx, cancel := context.WithTimeout(ctx, upkeepTimeout)
	defer cancel()
	s, err := m.search(ctx, sha256.Sum256([]byte(m.host.ID())), maxClosest)
	if err != nil {
		m.logger.Debug("the nearest peers were not found", "error", err)
		return true
	}
	claims := s.found(maxContacts)
	m.update(func(now time.Time) {
		for _, c := range claims {
			news = news || c.ID != m.host.ID() && m.machine.Wants(c.ID, c.Incarnation)
		}
		m.machine.Learn(now, m.host.ID(), claims, nil)
	})
	return news
}
