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
	disk    *disk.Disk
	clock   *clock
	now     func() time.Time
	records *recordSigner
	offers  *signer
}

// serve answers a request from a peer. Malformed requests are errors: the peer misbehaves.
func (h *holder) serve(ctx context.Context, from peer.ID, data []byte) ([]byte, error) {
	req, err := unmarshalRequest(data)
	if err != nil {
		return nil, err
	}
	resp := h.answer(ctx, &req)
	return resp.marshal(req.op), nil
}

func (h *holder) answer(ctx context.Context, req *request) response {
	switch req.op {
	case opPut:
		rec, err := h.records.open(req.envelope, false)
		if err != nil {
			return refusal(err)
		}
		return h.put(ctx, &rec)
	case opGet, opGetVersion:
		return h.get(req)
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
	default:
		return h.offersOf(req.hash)
	}
}

// put stores a record that was checked.
func (h *holder) put(ctx context.Context, rec *signed) response {
	now := h.now()
	if expired(&rec.head, millis(now.Add(-keepExpired))) {
		return refusal(fault.New(fault.Invalid, "the record expired on %s", timeOf(rec.head.Expires).UTC().Format(time.RFC3339)))
	}
	if err := h.clock.observe(rec.version().Time); err != nil {
		return refusal(err)
	}
	winner, err := h.disk.Put(ctx, rec.key.hash(), rec.head, rec.envelope)
	if err != nil {
		return refusal(err)
	}
	if winner.Rank != rec.head.Rank {
		return response{status: statusNewer, rank: winner.Rank}
	}
	return response{status: statusOK}
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
