package records

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// protocolName, with the network's id, is the protocol id. A change of the messages below changes its number.
const protocolName = "records/1"

const (
	// maxMessage bounds requests and responses, in bytes.
	maxMessage = maxEnvelope + 64
	// maxPageBytes bounds the keys in a page of a listing; with maxPage it keeps a page below maxMessage.
	maxPageBytes = 512 << 10
	maxPage      = 1000
	// maxProviderEnvelope bounds the signed envelope of a provider record, in bytes.
	maxProviderEnvelope = 256
	// maxReason bounds the text of a refusal, in bytes.
	maxReason = 512
)

// An op says what a request asks for.
type op uint8

const (
	opPut op = 1 + iota
	opGet
	opGetVersion
	opList
	opPutProvider
	opGetProviders
	opPutIf   // opPut, on a condition
	opCompare // compare shards by their digests
	opHeads   // what a peer has of shards
	opFetch   // many records
	opStore   // store many records
	opHolding // what a peer knows of a key
	opCount   // how the records are kept that a peer is first in charge of
)

// A request, by op:
//
//	opPut, opPutProvider                 the envelope, to the end
//	opGet, opGetVersion, opGetProviders  hash[32] of the key
//	opList                               limit uint16, prefix<uint16>, after<uint16>
//	opPutIf                              rank[24] that is to be replaced, all zeros: none; then as opPut
//
// The others are in wire_repair.go.
type request struct {
	op       op
	envelope []byte
	hash     disk.Hash
	limit    int // 1 to maxPage
	prefix   string
	after    string
	expected disk.Rank
	repair   *repairRequest // of the ops in wire_repair.go
}

// A status says what a response is.
type status uint8

const (
	statusOK      status = 1 + iota // put: stored, or was there already; get: the record; list and providers: the page
	statusNewer                     // put: there is a newer version
	statusNone                      // get: there is no such record
	statusRefused                   // refused, or failed
	statusUnmet                     // put on a condition: it is not met; rank says what is there, all zeros: nothing
)

// A response to a request, by status and the request's op. What answers opPut, opPutIf, opGet or opGetVersion and is no refusal has the standpoint of the peer in the key's shard, one
// byte, after the status.
//
//	statusOK to opPut, opPutIf        nothing
//	statusOK to opPutProvider         nothing
//	statusOK to opGet                 the envelope, to the end
//	statusOK to opGetVersion          rank[24]
//	statusOK to opList                more uint8, heads
//	statusOK to opGetProviders        envelopes, each <uint16>
//	statusNewer                       rank[24]
//	statusNone                        nothing
//	statusRefused                     fault kind uint8, reason to the end
type response struct {
	status    status
	standing  standpoint // of the answering peer in the key's shard
	envelope  []byte
	rank      disk.Rank
	heads     []disk.Head
	more      bool
	envelopes [][]byte
	kind      fault.Kind
	reason    string
	repair    *repairResponse // to the ops in wire_repair.go
}

// standingTells reports whether answers to requests of the op carry the peer's standpoint.
func (o op) standingTells() bool {
	return o == opPut || o == opPutIf || o == opGet || o == opGetVersion
}

var errMessage = fault.New(fault.Invalid, "malformed message")

func (r *request) marshal() []byte {
	b := make([]byte, 1, 1+sha256.Size+4+len(r.envelope)+len(r.prefix)+len(r.after))
	b[0] = byte(r.op)
	switch r.op {
	case opPut, opPutProvider:
		b = append(b, r.envelope...)
	case opPutIf:
		b = append(append(b, r.expected[:]...), r.envelope...)
	case opGet, opGetVersion, opGetProviders, opHolding:
		b = append(b, r.hash[:]...)
	case opList:
		b = binary.BigEndian.AppendUint16(b, uint16(r.limit))
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(r.prefix))), r.prefix...)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(r.after))), r.after...)
	default:
		if r.repair != nil {
			b = r.repair.marshal(r.op, b)
		}
	}
	return b
}

// unmarshalRequest reads a request; its envelope aliases data.
func unmarshalRequest(data []byte) (request, error) {
	if len(data) == 0 || len(data) > maxMessage {
		return request{}, errMessage
	}
	r := request{op: op(data[0])}
	s := cryptobyte.String(data[1:])
	ok := false
	switch r.op {
	case opPut:
		r.envelope, ok = s, len(s) > 0 && len(s) <= maxEnvelope
	case opPutProvider:
		r.envelope, ok = s, len(s) > 0 && len(s) <= maxProviderEnvelope
	case opPutIf:
		ok = s.CopyBytes(r.expected[:]) && len(s) > 0 && len(s) <= maxEnvelope
		r.envelope = s
	case opGet, opGetVersion, opGetProviders, opHolding:
		ok = s.CopyBytes(r.hash[:]) && s.Empty()
	case opList:
		var limit uint16
		var prefix, after cryptobyte.String
		ok = s.ReadUint16(&limit) && limit >= 1 && limit <= maxPage &&
			s.ReadUint16LengthPrefixed(&prefix) && len(prefix) <= MaxKey &&
			s.ReadUint16LengthPrefixed(&after) && len(after) <= MaxKey && s.Empty()
		r.limit, r.prefix, r.after = int(limit), string(prefix), string(after)
	default:
		r.repair = &repairRequest{}
		ok = r.repair.unmarshal(r.op, s)
	}
	if !ok {
		return request{}, errMessage
	}
	return r, nil
}

// marshal writes the response to a request of the given op.
func (r *response) marshal(to op) []byte {
	b := make([]byte, 1, 2+len(r.rank)+len(r.envelope)+len(r.reason))
	b[0] = byte(r.status)
	if r.status != statusRefused && to.standingTells() {
		b = append(b, r.standing.byte())
	}
	switch {
	case r.status == statusNewer, r.status == statusUnmet, r.status == statusOK && to == opGetVersion:
		b = append(b, r.rank[:]...)
	case r.status == statusRefused:
		b = append(append(b, byte(r.kind)), r.reason...)
	case r.status != statusOK:
	case to == opGet:
		b = append(b, r.envelope...)
	case to == opList:
		b = append(b, flagOf(r.more))
		for i := range r.heads {
			b = appendHead(b, &r.heads[i])
		}
	case to == opGetProviders:
		for _, e := range r.envelopes {
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
		}
	case r.repair != nil:
		b = r.repair.marshal(to, b)
	}
	return b
}

// unmarshalResponse reads the response to a request of the given op; envelopes alias data.
func unmarshalResponse(to op, data []byte) (response, error) {
	if len(data) == 0 || len(data) > maxMessage {
		return response{}, errMessage
	}
	r := response{status: status(data[0])}
	s := cryptobyte.String(data[1:])
	if r.status != statusRefused && to.standingTells() {
		var b uint8
		var ok bool
		if !s.ReadUint8(&b) {
			return response{}, errMessage
		}
		if r.standing, ok = standpointOf(b); !ok {
			return response{}, errMessage
		}
	}
	ok := false
	switch r.status {
	case statusOK:
		ok = r.unmarshalOK(to, s)
	case statusNewer:
		ok = (to == opPut || to == opPutIf) && s.CopyBytes(r.rank[:]) && s.Empty()
	case statusUnmet:
		ok = to == opPutIf && s.CopyBytes(r.rank[:]) && s.Empty()
	case statusNone:
		ok = (to == opGet || to == opGetVersion) && s.Empty()
	case statusRefused:
		ok = s.ReadUint8((*uint8)(&r.kind)) && r.kind <= fault.Full && len(s) <= maxReason && utf8.Valid(s)
		r.reason = string(s)
	}
	if !ok {
		return response{}, errMessage
	}
	return r, nil
}

func (r *response) unmarshalOK(to op, s cryptobyte.String) bool {
	switch to {
	case opPut, opPutIf, opPutProvider:
		return s.Empty()
	case opGet:
		r.envelope = s
		return len(s) > 0 && len(s) <= maxEnvelope
	case opGetVersion:
		return s.CopyBytes(r.rank[:]) && s.Empty()
	case opList:
		return r.unmarshalHeads(s)
	case opGetProviders:
		for !s.Empty() {
			var e cryptobyte.String
			if !s.ReadUint16LengthPrefixed(&e) || len(e) == 0 || len(e) > maxProviderEnvelope || len(r.envelopes) == disk.MaxProviders {
				return false
			}
			r.envelopes = append(r.envelopes, e)
		}
		return true
	}
	r.repair = &repairResponse{}
	return r.repair.unmarshal(to, s)
}

// unmarshalHeads reads a page: at most maxPage heads in strictly ascending order of keys.
func (r *response) unmarshalHeads(s cryptobyte.String) bool {
	var more uint8
	if !s.ReadUint8(&more) || more > 1 {
		return false
	}
	r.more = more == 1
	last := ""
	for !s.Empty() {
		var h disk.Head
		if len(r.heads) == maxPage || !readHead(&s, &h) || h.Key <= last {
			return false
		}
		last = h.Key
		r.heads = append(r.heads, h)
	}
	return !r.more || len(r.heads) > 0
}

// appendHead writes rank[24], author[32], expires uint64, size uint24, flags uint8, key<uint16>.
func appendHead(b []byte, h *disk.Head) []byte {
	b = append(append(b, h.Rank[:]...), h.Author[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Expires)
	b = append(b, byte(h.Size>>16), byte(h.Size>>8), byte(h.Size), flagOf(h.Deleted))
	return append(binary.BigEndian.AppendUint16(b, uint16(len(h.Key))), h.Key...)
}

func readHead(s *cryptobyte.String, h *disk.Head) bool {
	var flags uint8
	var key cryptobyte.String
	if !s.CopyBytes(h.Rank[:]) || !s.CopyBytes(h.Author[:]) || !s.ReadUint64(&h.Expires) || !s.ReadUint24(&h.Size) || h.Size > MaxValue ||
		!s.ReadUint8(&flags) || flags&^flagDeleted != 0 || !s.ReadUint16LengthPrefixed(&key) || checkKeyText(string(key)) != nil {
		return false
	}
	h.Deleted, h.Key = flags&flagDeleted != 0, string(key)
	return true
}

// refusal turns an error into a response.
func refusal(err error) response {
	reason := strings.ToValidUTF8(err.Error(), "")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	return response{status: statusRefused, kind: fault.KindOf(err), reason: reason}
}

// A refusedError is what a member said no to, in its own words.
type refusedError struct{ reason string }

// Error returns the reason.
func (e *refusedError) Error() string { return "refused: " + e.reason }

// err returns a refusal as an error, and nil for every other response.
func (r *response) err() error {
	if r.status != statusRefused {
		return nil
	}
	return fault.As(r.kind, &refusedError{r.reason})
}
