package routing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/routing/swim"
)

const (
	// syncTimeout bounds a whole exchange.
	syncTimeout = 10 * time.Second
	// syncPages is the most pages of a summary that are read.
	syncPages = swim.MaxMembers/summaryPage + 1
)

// sync exchanges all claims with a peer (anti-entropy). Nothing but a digest is sent when both hold the same.
func (m *Membership) sync(ctx context.Context, target peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	if err := m.exchange(ctx, target); err != nil {
		m.logger.Debug("exchange of members failed", "peer", target, "error", err)
	}
}

// exchange reads the other side's summary page by page and trades what one side lacks.
func (m *Membership) exchange(ctx context.Context, target peer.ID) error {
	own := m.entries()
	r := summaryRequest{Digest: digest(own)}
	for range syncPages {
		page, err := m.askSummary(ctx, target, &r)
		if err != nil {
			return err
		}
		if page.Equal {
			return nil
		}
		last := peer.ID("")
		if page.More {
			last = page.Entries[len(page.Entries)-1].ID
		}
		if page.Partial {
			own = nil
		}
		if err := m.tradePage(ctx, target, own, r.After, last, page.Entries); err != nil {
			return err
		}
		if !page.More {
			return nil
		}
		r.After = last
	}
	return fmt.Errorf("summary of more than %d pages", syncPages)
}

func (m *Membership) askSummary(ctx context.Context, target peer.ID, r *summaryRequest) (*summary, error) {
	request, err := encodeRequest(kindSummary, r)
	if err != nil {
		return nil, err
	}
	response, err := m.call(ctx, target, request)
	if err != nil {
		return nil, err
	}
	var page summary
	if err := decode(response, &page); err != nil {
		return nil, fmt.Errorf("summary: %w", err)
	}
	if len(page.Entries) > 0 && page.Entries[0].ID <= r.After {
		return nil, fmt.Errorf("summary: %w: entries before the page", errMalformed)
	}
	return &page, nil
}

// tradePage trades the claims of peers after after and up to last, or all that follow where last is empty, of which theirs are
// the other side's entries and own includes this node's that it is to be offered.
func (m *Membership) tradePage(ctx context.Context, target peer.ID, own []swim.Entry, after, last peer.ID, theirs []swim.Entry) error {
	wanted, present, offered := m.compare(theirs)
	m.update(func(now time.Time) { m.machine.Learn(now, target, nil, present) })
	for _, e := range own {
		if e.ID > after && (last == "" || e.ID <= last) {
			if i, ok := slices.BinarySearchFunc(theirs, e.ID, compareEntry); !ok || theirs[i].Incarnation < e.Incarnation {
				offered = append(offered, e.ID)
			}
		}
	}
	for len(wanted) > 0 || len(offered) > 0 {
		w, o := min(len(wanted), tradeWanted), min(len(offered), tradeClaims)
		if err := m.trade(ctx, target, offered[:o], wanted[:w]); err != nil {
			return err
		}
		wanted, offered = wanted[w:], offered[o:]
	}
	return nil
}

// compare returns the peers whose claims in entries are news, all peers in entries, and those that have left since.
func (m *Membership) compare(entries []swim.Entry) (wanted, all, departed []peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		all = append(all, e.ID)
		if m.machine.Wants(e.ID, e.Incarnation) {
			wanted = append(wanted, e.ID)
		}
		if m.machine.Departed(e.ID, e.Incarnation) {
			departed = append(departed, e.ID)
		}
	}
	return wanted, all, departed
}

// trade hands over the claims of offered and takes in those of wanted.
func (m *Membership) trade(ctx context.Context, target peer.ID, offered, wanted []peer.ID) error {
	request, err := encodeRequest(kindTrade, &trade{Claims: m.claimsOf(offered), Wanted: wanted})
	if err != nil {
		return err
	}
	response, err := m.call(ctx, target, request)
	if err != nil {
		return err
	}
	var t trade
	if err := decode(response, &t); err != nil {
		return fmt.Errorf("trade: %w", err)
	}
	claims, _, err := m.verify(target, t.Claims)
	if err != nil {
		return err
	}
	m.update(func(now time.Time) { m.machine.Learn(now, target, claims, nil) })
	return nil
}

// summarize answers a request for the summary of entries.
func summarize(entries []swim.Entry, r *summaryRequest) *summary {
	if r.After == "" && digest(entries) == r.Digest {
		return &summary{Equal: true}
	}
	i, found := slices.BinarySearchFunc(entries, r.After, compareEntry)
	if found {
		i++
	}
	page := entries[i:min(len(entries), i+summaryPage)]
	return &summary{Entries: page, More: i+len(page) < len(entries)}
}

// digest is the SHA-256 of entries: of each, the id with its length in one byte and the incarnation.
func digest(entries []swim.Entry) [digestSize]byte {
	h := sha256.New()
	var b []byte
	for _, e := range entries {
		b = append(b[:0], byte(len(e.ID)))
		b = append(b, e.ID...)
		b = binary.BigEndian.AppendUint64(b, e.Incarnation)
		h.Write(b)
	}
	return [digestSize]byte(h.Sum(nil))
}

func compareEntry(e swim.Entry, id peer.ID) int { return strings.Compare(string(e.ID), string(id)) }
