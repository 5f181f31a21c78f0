package records

import (
	"math/rand/v2"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
)

// ProtocolName is the name of the protocol between peers.
const ProtocolName = protocolName

// MaxMessage is the length limit of its messages.
const MaxMessage = maxMessage

// CutOff reports whether the store has cut a peer off.
func (s *Store) CutOff(p peer.ID) bool { return s.conduct.cutOff(p) }

// StoreRequest brings envelopes of records.
func StoreRequest(envelopes ...[]byte) []byte {
	r := request{op: opStore, repair: &repairRequest{envelopes: envelopes}}
	return r.marshal()
}

// GetRequest asks for a record.
func GetRequest(key string) []byte {
	k, err := ParseKey(key)
	if err != nil {
		panic(err)
	}
	return (&request{op: opGet, hash: k.hash()}).marshal()
}

// ListRequest asks for a page of a listing.
func ListRequest() []byte { return (&request{op: opList, limit: maxPage}).marshal() }

// LyingAnswer answers a request with a lie: all is in sync and everything is different, there are records that nobody has, what is brought is taken and what is asked for is not there.
func LyingAnswer(data []byte, rng *rand.Rand) []byte {
	if len(data) > 0 && op(data[0]) == opChanges {
		return lyingChanges(rng)
	}
	req, err := unmarshalRequest(data)
	if err != nil {
		panic(err)
	}
	rank := Version{Time: Timestamp(rng.Uint64N(1<<40)) << counterBits}.rank()
	resp := response{status: statusOK, standing: standpoint{level: LevelSynced}, repair: &repairResponse{}}
	switch req.op {
	case opGet:
		resp.status = statusNone
	case opGetVersion:
		resp.rank = rank
	case opCompare:
		resp.repair.reports = lyingReports(&req.repair.set, rng)
	case opHeads:
		for _, s := range req.repair.shards {
			hash := disk.Hash{byte(s >> 4), byte(s << 4), 0xff, byte(rng.Uint32())}
			resp.repair.versions = append(resp.repair.versions, version{hash, rank})
		}
	case opFetch:
		resp.repair.envelopes = make([][]byte, len(req.repair.hashes))
	case opStore:
		for range req.repair.envelopes {
			resp.repair.outcomes = append(resp.repair.outcomes, storeOutcome{status: statusOK})
		}
	}
	return resp.marshal(req.op)
}

// WithoutSummary makes a comparison ask for digests though all are equal, and leaves all other requests as they are.
func WithoutSummary(request []byte) []byte {
	req, err := unmarshalRequest(request)
	if err != nil || req.op != opCompare {
		return request
	}
	req.repair.summary, req.repair.sum = false, disk.Digest{}
	return req.marshal()
}

// FalseDigests changes the digests in an answer to a comparison, always in the same way, and leaves all other answers as they are.
func FalseDigests(request, answer []byte) []byte {
	if op(request[0]) != opCompare {
		return answer
	}
	resp, err := unmarshalResponse(opCompare, answer)
	if err != nil || resp.repair == nil || resp.repair.equal {
		return answer
	}
	for i := range resp.repair.reports {
		resp.repair.reports[i].sum[0] ^= 1
	}
	return resp.marshal(opCompare)
}

// DenyingAnswer says, in sync, that there is no such record, or nil when that is not what is asked.
func DenyingAnswer(request []byte) []byte {
	if what := op(request[0]); what == opGet || what == opGetVersion {
		resp := response{status: statusNone, standing: standpoint{level: LevelSynced}}
		return resp.marshal(what)
	}
	return nil
}

func lyingReports(set *shardSet, rng *rand.Rand) (reports []report) {
	for range set.len() {
		r := report{standpoint: standpoint{level: LevelSynced}, known: true}
		r.sum[0], r.sum[1] = byte(rng.Uint32()), byte(rng.Uint32())
		reports = append(reports, r)
	}
	return reports
}

// lyingChanges tells of changes of records that nobody has.
func lyingChanges(rng *rand.Rand) []byte {
	c := changes{epoch: epoch{1}, next: rng.Uint64N(1 << 30)}
	c.last = c.next
	for range maxChanges {
		c.heads = append(c.heads, disk.Head{Key: "nobody/" + string('a'+rune(rng.IntN(26))), Rank: Version{Time: Timestamp(rng.Uint64())}.rank()})
	}
	return c.marshal()
}
