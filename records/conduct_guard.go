package records

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

const (
	// Costs of requests, in look-ups of one record.
	costWrite = 2  // a signature is checked, and the disk written
	costScan  = 20 // many records or shards are gone through
	// bytesPerCost is how many bytes of a request cost as much as a look-up.
	bytesPerCost = 8 << 10
)

// costOf is what a request costs.
func costOf(request []byte) float64 {
	cost := 1 + float64(len(request))/bytesPerCost
	if len(request) == 0 {
		return cost
	}
	switch op(request[0]) {
	case opPut, opPutIf, opPutProvider:
		cost += costWrite
	case opList, opCompare, opHeads, opFetch, opStore, opCount, opChanges:
		cost += costScan
	}
	return cost
}

// guard keeps what peers must not do from the handler that serves them, and blames them for it.
func (c *conduct) guard(records *recordSigner, next rpc.Handler) rpc.Handler {
	return func(ctx context.Context, from peer.ID, data []byte) ([]byte, error) {
		switch err := c.admit(ctx, from, costOf(data)); err {
		case nil:
		case errTooMuch:
			resp := refusal(err)
			return resp.marshal(0), nil
		default:
			return nil, err
		}
		answer, err := next(ctx, from, data)
		if err != nil {
			c.blame(from, malformed)
			return nil, err
		}
		for range forgeries(records, data, answer) {
			c.blame(from, forged)
		}
		if c.cutOff(from) {
			return nil, errCutOff
		}
		return answer, nil
	}
}

// forgeries counts the records in a request that were refused and are not what an honest peer sends, whatever the time.
func forgeries(records *recordSigner, request, answer []byte) (n int) {
	what := op(request[0])
	if what != opPut && what != opPutIf && what != opStore {
		return 0
	}
	req, err := unmarshalRequest(request)
	if err != nil {
		return 0
	}
	if what != opStore {
		if status(answer[0]) == statusRefused && isForged(records, req.envelope) {
			n++
		}
		return n
	}
	resp, err := unmarshalResponse(what, answer)
	if err != nil || resp.repair == nil || len(resp.repair.outcomes) != len(req.repair.envelopes) {
		return 0
	}
	for i, o := range resp.repair.outcomes {
		if o.status == statusRefused && isForged(records, req.repair.envelopes[i]) {
			n++
		}
	}
	return n
}

func isForged(records *recordSigner, envelope []byte) bool {
	_, err := records.open(envelope, false)
	return fault.KindOf(err) == fault.Invalid || fault.KindOf(err) == fault.Forbidden || fault.KindOf(err) == fault.TooLarge
}

// spare keeps this peer from asking those that are cut off.
func (c *conduct) spare(next caller) caller { return sparing{c, next} }

type sparing struct {
	conduct *conduct
	next    caller
}

// Call implements caller.
func (s sparing) Call(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
	if s.conduct.cutOff(to) {
		return nil, errSpared
	}
	return s.next.Call(ctx, to, request)
}
