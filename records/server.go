package records

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// keepExpired is how long expired records and tombstones stay on the disk, so that they hide older copies that turn up late.
const keepExpired = 7 * 24 * time.Hour

// A holder keeps copies: the part of a peer that others ask.
type holder struct {
	table   *table
	vigil   *vigil
	hints   *hints
	stripes stripes
	feed    feed
	disk    *disk.Disk
	clock   *clock
	skews   skews
	now     func() time.Time
	author  func(peer.ID, time.Time) error // nil: everybody may write
	records *recordSigner
	offers  *signer
}

// serve answers a request from a peer. Malformed requests are errors: the peer misbehaves.
func (h *holder) serve(ctx context.Context, from peer.ID, data []byte) ([]byte, error) {
	if len(data) > 0 && op(data[0]) == opChanges {
		return h.feed.serve(ctx, from, data)
	}
	req, err := unmarshalRequest(data)
	if err != nil {
		return nil, err
	}
	resp := h.answer(ctx, from, &req)
	return resp.marshal(req.op), nil
}

func (h *holder) answer(ctx context.Context, from peer.ID, req *request) response {
	switch req.op {
	case opPut, opPutIf:
		rec, err := h.records.open(req.envelope, false)
		if err != nil {
			return refusal(err)
		}
		if req.op == opPutIf {
			return h.putIf(ctx, &rec, req.expected)
		}
		return h.put(ctx, &rec)
	case opGet, opGetVersion:
		resp := h.get(req)
		resp.standing = h.standingIn(disk.ShardOf(req.hash))
		return resp
	case opList:
		heads, more, err := h.disk.List(req.prefix, req.after, req.limit, maxPageBytes)
		if err != nil {
			return refusal(err)
		}
		return response{status: statusOK, heads: heads, more: more}
	case opPutProvider:
		offer, err := openOffer(h.offers, req.envelope)
		if err != nil {
			return refusal(err)
		}
		return h.putOffer(ctx, &offer)
	case opGetProviders:
		return h.offersOf(req.hash)
	default:
		return h.answerRepair(ctx, from, req)
	}
}

// standingIn returns this peer's standpoint in a shard. Where something could not be read it vouches for nothing until it has compared.
func (h *holder) standingIn(s disk.Shard) standpoint {
	h.vigil.check()
	p := h.table.levelAt(s)
	switch {
	case !h.disk.Damaged(s):
	case p.level == LevelLeaving:
		p.level = LevelNone
	case p.level.counts():
		p.level = LevelUnsynced
	}
	return p
}

// put stores a record that was checked.
func (h *holder) put(ctx context.Context, rec *signed) response {
	lock := h.stripes.of(rec.key.hash())
	lock.RLock()
	defer lock.RUnlock()
	return h.store(ctx, rec)
}

func (h *holder) store(ctx context.Context, rec *signed) response {
	if err := h.acceptable(rec); err != nil {
		return refusal(err)
	}
	hash := rec.key.hash()
	winner, err := h.disk.Put(ctx, hash, rec.head, rec.envelope)
	if err != nil {
		return refusal(err)
	}
	shard := disk.ShardOf(hash)
	resp := response{status: statusOK, standing: h.standingIn(shard)}
	if winner.Rank != rec.head.Rank {
		resp.status, resp.rank = statusNewer, winner.Rank
	}
	h.hints.note(shard, hash)
	return resp
}

// acceptable checks what changes with time.
func (h *holder) acceptable(rec *signed) error {
	if expired(&rec.head, millis(h.now().Add(-keepExpired))) {
		return fault.New(fault.Invalid, "the record expired on %s", timeOf(rec.head.Expires).UTC().Format(time.RFC3339))
	}
	if err := h.authored(&rec.head); err != nil {
		return err
	}
	return h.clock.observe(rec.version().Time)
}

func (h *holder) get(req *request) response {
	if req.op == opGetVersion {
		head, found, err := h.disk.Head(req.hash)
		switch {
		case err != nil:
			return refusal(err)
		case !found:
			return response{status: statusNone}
		}
		return response{status: statusOK, rank: head.Rank}
	}
	envelope, err := h.disk.Envelope(req.hash)
	switch {
	case err != nil:
		return refusal(err)
	case envelope == nil:
		return response{status: statusNone}
	}
	return response{status: statusOK, envelope: envelope}
}

func (h *holder) putOffer(ctx context.Context, o *signedOffer) response {
	now := millis(h.now())
	if o.expires <= now {
		return refusal(fault.New(fault.Invalid, "the provider record has expired"))
	}
	if err := h.clock.observe(o.time); err != nil {
		return refusal(err)
	}
	kept, err := h.disk.PutProvider(ctx, o.hash, o.stored(), now)
	if err != nil {
		return refusal(err)
	}
	if !kept {
		return refusal(fault.New(fault.Full, "the key has %d providers that are nearer", disk.MaxProviders))
	}
	return response{status: statusOK}
}

func (h *holder) offersOf(hash disk.Hash) response {
	providers, err := h.disk.Providers(hash)
	if err != nil {
		return refusal(err)
	}
	now := millis(h.now())
	resp := response{status: statusOK}
	for _, p := range providers {
		if p.Expires > now && len(p.Envelope) <= maxProviderEnvelope {
			resp.envelopes = append(resp.envelopes, p.Envelope)
		}
	}
	return resp
}
