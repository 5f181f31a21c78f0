package records

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// answerRepair answers requests that are about many records, or about copies.
func (h *holder) answerRepair(ctx context.Context, from peer.ID, req *request) response {
	switch req.op {
	case opCompare:
		return h.compare(from, req.repair)
	case opHeads:
		return h.versions(ctx, req.repair)
	case opFetch:
		return h.fetch(req.repair)
	case opStore:
		return h.storeMany(ctx, req.repair)
	case opHolding:
		return h.holding(req.hash)
	case opCount:
		return response{status: statusOK, repair: &repairResponse{counts: h.table.count(h.disk.Records)}}
	}
	return refusal(fault.New(fault.Invalid, "unknown request %d", req.op))
}

// compare tells how this peer stands in shards. Where the sums of all are those of the other peer it notes that.
func (h *holder) compare(from peer.ID, req *repairRequest) response {
	h.skews.note(from, req.asOf, h.now())
	resp := &repairResponse{reports: h.reports(&req.set, req.asOf)}
	if req.summary && sumOfReports(resp.reports) == req.sum {
		resp.equal = true
		resp.reports = nil
		now := h.now()
		for s := range req.set.all() {
			h.table.compared(s, from, min(Timestamp(req.asOf), timestampOf(now)), now)
			h.table.met(s, from, h.now())
		}
	}
	return response{status: statusOK, repair: resp}
}

func (h *holder) reports(set *shardSet, asOf uint64) []report {
	reports := make([]report, 0, set.len())
	for s := range set.all() {
		r := report{standpoint: h.standingIn(s)}
		var d disk.ShardDigest
		if d, r.known = h.disk.Digest(s, asOf); r.known {
			copy(r.sum[:], d.Sum[:])
		}
		reports = append(reports, r)
	}
	return reports
}

// sumOfReports is what stands for the contents of many shards; it is random where one of them can't be told.
func sumOfReports(reports []report) (sum disk.Digest) {
	h := sha256.New()
	for i := range reports {
		h.Write([]byte{flagOf(reports[i].known)})
		h.Write(reports[i].sum[:])
	}
	copy(sum[:], h.Sum(nil))
	return sum
}

// versions lists what shards hold. All that is listed counts in the digests told from then on, or the other peer would take this one for a liar: what is being written can be read before it is
// counted, for as long as the disk takes to sync it.
func (h *holder) versions(ctx context.Context, req *repairRequest) response {
	resp := &repairResponse{}
	for _, s := range req.shards {
		after := req.after
		if disk.ShardOf(after) > s {
			continue
		}
		if disk.ShardOf(after) < s {
			after = disk.Hash{} // Heads begins with the shard's first
		}
		room := maxVersions - len(resp.versions)
		if room == 0 {
			resp.more = true
			break
		}
		items, more, err := h.disk.Heads(s, after, room)
		if err != nil {
			return refusal(err)
		}
		for i := range items {
			resp.versions = append(resp.versions, version{items[i].Hash, items[i].Head.Rank})
		}
		if more {
			resp.more = len(resp.versions) > 0
			break
		}
	}
	if err := h.disk.Settle(ctx); err != nil && fault.KindOf(err) != fault.Full {
		return refusal(err)
	}
	return response{status: statusOK, repair: resp}
}

func (h *holder) fetch(req *repairRequest) response {
	resp := &repairResponse{}
	size := 0
	for _, hash := range req.hashes {
		envelope, err := h.disk.Envelope(hash)
		switch {
		case errors.Is(err, disk.ErrDamaged): // others have it
			envelope = nil
		case err != nil:
			return refusal(err)
		}
		if size += len(envelope) + 3; size > maxEnvelope && len(resp.envelopes) > 0 {
			break
		}
		resp.envelopes = append(resp.envelopes, envelope)
	}
	return response{status: statusOK, repair: resp}
}

// storeMany stores records that another peer brings, with one sync for all.
func (h *holder) storeMany(ctx context.Context, req *repairRequest) response {
	resp := &repairResponse{outcomes: make([]storeOutcome, len(req.envelopes))}
	var updates []disk.Update
	var at []int
	for i, envelope := range req.envelopes {
		rec, err := h.records.open(envelope, false)
		if err == nil {
			err = h.acceptable(&rec)
		}
		if err != nil {
			resp.outcomes[i] = storeOutcome{statusRefused, fault.KindOf(err)}
			continue
		}
		updates = append(updates, disk.Update{Hash: rec.key.hash(), Head: rec.head, Envelope: envelope})
		at = append(at, i)
	}
	winners, err := h.putMany(ctx, updates)
	for n, i := range at {
		switch {
		case err != nil:
			resp.outcomes[i] = storeOutcome{statusRefused, fault.KindOf(err)}
		case winners[n].Rank != updates[n].Head.Rank:
			resp.outcomes[i].status = statusNewer
		default:
			resp.outcomes[i].status = statusOK
		}
	}
	return response{status: statusOK, repair: resp}
}

// putMany stores records that were checked. Conditional writes of the same keys wait.
func (h *holder) putMany(ctx context.Context, updates []disk.Update) ([]disk.Head, error) {
	if len(updates) == 0 {
		return nil, nil
	}
	stripes := map[byte]bool{}
	for i := range updates {
		stripes[updates[i].Hash[len(disk.Hash{})-1]] = true
	}
	order := make([]byte, 0, len(stripes))
	for s := range stripes {
		order = append(order, s)
	}
	slices.Sort(order)
	for _, s := range order {
		h.stripes[s].RLock()
	}
	defer func() {
		for _, s := range order {
			h.stripes[s].RUnlock()
		}
	}()
	return h.disk.PutMany(ctx, updates)
}

func (h *holder) holding(hash disk.Hash) response {
	resp := &repairResponse{standing: h.standingIn(disk.ShardOf(hash))}
	head, found, err := h.disk.Head(hash)
	if err != nil {
		return refusal(err)
	}
	if found {
		resp.found, resp.stored, resp.head = true, head.Stored, head
	}
	return response{status: statusOK, repair: resp}
}
