package records

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// maxHeadShards bounds the shards whose heads one request asks for, maxVersions the versions in one answer.
	maxHeadShards = 64
	maxVersions   = 4096
	// maxBatch bounds the records in one request that fetches or stores many; the message's size bounds their bytes.
	maxBatch = 256
	// sumSize is how much of a digest goes over the wire.
	sumSize = 8
)

// A repairRequest is the part of a request that is about many records, by op:
//
//	opCompare  as of uint64, summary uint8, set[512], with summary: sum[16] over what the sender has
//	opHeads    after hash[32], shards, each uint16, ascending
//	opFetch    hashes, each [32], ascending
//	opStore    envelopes, each <uint24>
//	opCount    nothing
type repairRequest struct {
	asOf      uint64
	summary   bool
	sum       disk.Digest
	set       shardSet
	after     disk.Hash
	shards    []disk.Shard
	hashes    []disk.Hash
	envelopes [][]byte
}

// A repairResponse answers one:
//
//	opCompare  equal uint8; unless equal, for each shard of the set: standpoint uint8, known uint8, sum[8]
//	opHeads    more uint8, versions by hash, each: hash[32], rank[24]
//	opFetch    envelopes in the order of the hashes as far as they fit, each <uint24>, empty where there is none
//	opStore    outcomes, each: status uint8, of a refusal: fault kind uint8
//	opHolding  standpoint uint8, found uint8, if found: stored uint64, head
//	opCount    full, below, unreachable, each uint64
type repairResponse struct {
	equal     bool
	reports   []report
	more      bool
	versions  []version
	envelopes [][]byte
	outcomes  []storeOutcome
	standing  standpoint
	found     bool
	stored    uint64
	head      disk.Head
	counts    counts
}

// A report is what a peer says of a shard.
type report struct {
	standpoint
	known bool // sum is right
	sum   [sumSize]byte
}

// A version is a record by the names under which peers compare it.
type version struct {
	hash disk.Hash
	rank disk.Rank
}

// A storeOutcome says what became of one of many records.
type storeOutcome struct {
	status status // statusOK, statusNewer or statusRefused
	kind   fault.Kind
}

func (r *repairRequest) marshal(o op, b []byte) []byte {
	switch o {
	case opCompare:
		b = append(binary.BigEndian.AppendUint64(b, r.asOf), flagOf(r.summary))
		b = append(b, r.set[:]...)
		if r.summary {
			b = append(b, r.sum[:]...)
		}
	case opHeads:
		b = append(b, r.after[:]...)
		for _, s := range r.shards {
			b = binary.BigEndian.AppendUint16(b, uint16(s))
		}
	case opFetch:
		for i := range r.hashes {
			b = append(b, r.hashes[i][:]...)
		}
	case opStore:
		b = appendEnvelopes(b, r.envelopes)
	}
	return b
}

func appendEnvelopes(b []byte, envelopes [][]byte) []byte {
	for _, e := range envelopes {
		b = append(b, byte(len(e)>>16), byte(len(e)>>8), byte(len(e)))
		b = append(b, e...)
	}
	return b
}

func readEnvelopes(s cryptobyte.String, least int) (envelopes [][]byte, ok bool) {
	for !s.Empty() {
		var e cryptobyte.String
		if !s.ReadUint24LengthPrefixed(&e) || len(e) < least || len(e) > maxEnvelope || len(envelopes) == maxBatch {
			return nil, false
		}
		envelopes = append(envelopes, e)
	}
	return envelopes, true
}

func compareHashes(a, b disk.Hash) int { return bytes.Compare(a[:], b[:]) }

func readFlag(s *cryptobyte.String, flag *bool) bool {
	var b uint8
	ok := s.ReadUint8(&b) && b <= 1
	*flag = b == 1
	return ok
}

func (r *repairRequest) unmarshal(o op, s cryptobyte.String) (ok bool) {
	switch o {
	case opCompare:
		return s.ReadUint64(&r.asOf) && readFlag(&s, &r.summary) && s.CopyBytes(r.set[:]) && (!r.summary || s.CopyBytes(r.sum[:])) && s.Empty()
	case opHeads:
		return s.CopyBytes(r.after[:]) && r.unmarshalShards(s)
	case opFetch:
		return r.unmarshalHashes(s)
	case opStore:
		r.envelopes, ok = readEnvelopes(s, 1)
		return ok && len(r.envelopes) > 0
	case opCount:
		return s.Empty()
	}
	return false
}

func (r *repairRequest) unmarshalShards(s cryptobyte.String) bool {
	for !s.Empty() {
		var shard uint16
		if !s.ReadUint16(&shard) || shard >= disk.Shards || len(r.shards) == maxHeadShards {
			return false
		}
		if n := len(r.shards); n > 0 && r.shards[n-1] >= disk.Shard(shard) {
			return false
		}
		r.shards = append(r.shards, disk.Shard(shard))
	}
	return len(r.shards) > 0
}

func (r *repairRequest) unmarshalHashes(s cryptobyte.String) bool {
	for !s.Empty() {
		var hash disk.Hash
		if !s.CopyBytes(hash[:]) || len(r.hashes) == maxBatch {
			return false
		}
		if n := len(r.hashes); n > 0 && compareHashes(r.hashes[n-1], hash) >= 0 {
			return false
		}
		r.hashes = append(r.hashes, hash)
	}
	return len(r.hashes) > 0
}

func (r *repairResponse) marshal(o op, b []byte) []byte {
	switch o {
	case opCompare:
		b = append(b, flagOf(r.equal))
		for i := range r.reports {
			c := &r.reports[i]
			b = append(append(b, c.byte(), flagOf(c.known)), c.sum[:]...)
		}
	case opHeads:
		b = append(b, flagOf(r.more))
		for i := range r.versions {
			b = append(append(b, r.versions[i].hash[:]...), r.versions[i].rank[:]...)
		}
	case opFetch:
		b = appendEnvelopes(b, r.envelopes)
	case opStore:
		for _, o := range r.outcomes {
			if b = append(b, byte(o.status)); o.status == statusRefused {
				b = append(b, byte(o.kind))
			}
		}
	case opHolding:
		if b = append(b, r.standing.byte(), flagOf(r.found)); r.found {
			b = appendHead(binary.BigEndian.AppendUint64(b, r.stored), &r.head)
		}
	case opCount:
		for _, n := range []int64{r.counts.full, r.counts.below, r.counts.unreachable} {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
	}
	return b
}

func (r *repairResponse) unmarshal(o op, s cryptobyte.String) (ok bool) {
	switch o {
	case opCompare:
		return readFlag(&s, &r.equal) && r.unmarshalReports(s)
	case opHeads:
		return readFlag(&s, &r.more) && r.unmarshalVersions(s)
	case opFetch:
		r.envelopes, ok = readEnvelopes(s, 0)
		return ok
	case opStore:
		return r.unmarshalOutcomes(s)
	case opHolding:
		return r.unmarshalHolding(s)
	case opCount:
		return readCount(&s, &r.counts.full) && readCount(&s, &r.counts.below) && readCount(&s, &r.counts.unreachable) && s.Empty()
	}
	return false
}

func readCount(s *cryptobyte.String, n *int64) bool {
	var u uint64
	ok := s.ReadUint64(&u) && u < 1<<48
	*n = int64(u)
	return ok
}

func readStandpoint(s *cryptobyte.String, p *standpoint) (ok bool) {
	var b uint8
	if !s.ReadUint8(&b) {
		return false
	}
	*p, ok = standpointOf(b)
	return ok
}

func (r *repairResponse) unmarshalReports(s cryptobyte.String) bool {
	for !s.Empty() {
		var c report
		if len(r.reports) == disk.Shards || !readStandpoint(&s, &c.standpoint) || !readFlag(&s, &c.known) || !s.CopyBytes(c.sum[:]) {
			return false
		}
		r.reports = append(r.reports, c)
	}
	return true
}

func (r *repairResponse) unmarshalVersions(s cryptobyte.String) bool {
	for !s.Empty() {
		var v version
		if len(r.versions) == maxVersions || !s.CopyBytes(v.hash[:]) || !s.CopyBytes(v.rank[:]) {
			return false
		}
		if n := len(r.versions); n > 0 && compareHashes(r.versions[n-1].hash, v.hash) >= 0 {
			return false
		}
		r.versions = append(r.versions, v)
	}
	return !r.more || len(r.versions) > 0
}

func (r *repairResponse) unmarshalOutcomes(s cryptobyte.String) bool {
	for !s.Empty() {
		var o storeOutcome
		if len(r.outcomes) == maxBatch || !s.ReadUint8((*uint8)(&o.status)) {
			return false
		}
		switch o.status {
		case statusOK, statusNewer:
		case statusRefused:
			if !s.ReadUint8((*uint8)(&o.kind)) || o.kind > fault.Full {
				return false
			}
		default:
			return false
		}
		r.outcomes = append(r.outcomes, o)
	}
	return true
}

func (r *repairResponse) unmarshalHolding(s cryptobyte.String) bool {
	if !readStandpoint(&s, &r.standing) || !readFlag(&s, &r.found) {
		return false
	}
	return !r.found && s.Empty() || r.found && s.ReadUint64(&r.stored) && readHead(&s, &r.head) && s.Empty()
}
