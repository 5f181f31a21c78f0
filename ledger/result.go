package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
)

// Code says what became of a transaction in a block.
type Code uint8

// The codes. All but Applied mean that the transaction had no effect, but that its slot, if it had one, was used.
const (
	Applied Code = iota
	// AssetExists: the asset was defined before. NoAsset: it was not.
	AssetExists
	NoAsset
	// OverCap: there would be more of an asset than there may be.
	OverCap
	// Insufficient: the account has less than that.
	Insufficient
	// NotOperator: the account does not speak for a validator.
	NotOperator
	// MemberExists: the peer is a member. NoMember: it is none.
	MemberExists
	NoMember
	// ProposalExists: the same is proposed already. NoProposal: nothing of that id is open. TooManyProposals: no more can be open at once. Voted: the operator did that before.
	ProposalExists
	NoProposal
	TooManyProposals
	Voted
	// LastValidator: nobody would have power. TooManyValidators: there can't be as many. TooMuchPower: together they would have more than MaxPower. NoValidator: a validator without power was to have none.
	LastValidator
	TooManyValidators
	TooMuchPower
	NoValidator
	// LateRules: the height is passed, or the version is not above the present one.
	LateRules
	// NoInvite: there is no such invite, or none any more. InviteExpired: its time is over. InviteUsed: it has admitted as many peers as it may. InviteExists: there is one of that key. TooManyInvites: no more can be open at
	// once. Expelled: an invite does not bring back who was expelled. TooManyMembers: there can't be more. ReplacedLately: the member's key is not ReplacePause old.
	NoInvite
	InviteExpired
	InviteUsed
	InviteExists
	TooManyInvites
	Expelled
	TooManyMembers
	ReplacedLately

	codeCount
)

var codeNames = [codeCount]string{
	Applied: "applied", AssetExists: "asset exists", NoAsset: "no such asset", OverCap: "over the cap", Insufficient: "insufficient balance", NotOperator: "not an operator", MemberExists: "member exists",
	NoMember: "no such member", ProposalExists: "proposal exists", NoProposal: "no such proposal", TooManyProposals: "too many proposals", Voted: "voted before", LastValidator: "last validator",
	TooManyValidators: "too many validators", TooMuchPower: "too much power", NoValidator: "no such validator", LateRules: "too late for these rules", NoInvite: "no such invite", InviteExpired: "the invite has expired", InviteUsed: "the invite is used up", InviteExists: "invite exists", TooManyInvites: "too many invites",
	Expelled: "the peer was expelled", TooManyMembers: "too many members", ReplacedLately: "the key was replaced less than a day ago",
}

// String returns the code's name.
func (c Code) String() string {
	if c < codeCount {
		return codeNames[c]
	}
	return "unknown code"
}

// Result is what became of a transaction in a block.
type Result struct {
	ID   TransactionID
	Code Code
	// Operation is the index of the operation that failed; 0 with Applied.
	Operation uint16
}

// Valid reports whether there can be such a result.
func (r *Result) Valid() bool {
	return r.Code < codeCount && r.Operation < MaxOperations && (r.Code != Applied || r.Operation == 0)
}

// A tree of results is that of RFC 9162 (section 2.1) over leaves of id, code uint8 and operation uint16.
const (
	leafPrefix = 0
	nodePrefix = 1
)

func (r *Result) hash() Hash {
	b := append([]byte{leafPrefix}, r.ID[:]...)
	b = binary.BigEndian.AppendUint16(append(b, byte(r.Code)), r.Operation)
	return sha256.Sum256(b)
}

func hashNodes(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = nodePrefix
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// ResultsRoot returns the root over results; that of none is the hash of nothing.
func ResultsRoot(results []Result) Hash {
	if len(results) == 0 {
		return sha256.Sum256(nil)
	}
	if len(results) == 1 {
		return results[0].hash()
	}
	k := split(len(results))
	return hashNodes(ResultsRoot(results[:k]), ResultsRoot(results[k:]))
}

// split returns the greatest power of two below n, which is at least 2.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// ResultProof shows that a result is one of those under a root.
type ResultProof struct {
	// Index is the result's place among Count.
	Index, Count uint32
	// Path are the hashes beside the way from the result up.
	Path []Hash
}

// maxPath is the most hashes of a path, one for each bit of a count.
const maxPath = 32

// ProveResult proves the result at an index, which must be one of them.
func ProveResult(results []Result, index int) ResultProof {
	return ResultProof{uint32(index), uint32(len(results)), path(results, index)}
}

func path(results []Result, index int) []Hash {
	if len(results) == 1 {
		return nil
	}
	k := split(len(results))
	if index < k {
		return append(path(results[:k], index), ResultsRoot(results[k:]))
	}
	return append(path(results[k:], index-k), ResultsRoot(results[:k]))
}

// Verify returns an error of kind fault.Invalid unless the proof shows that the result is at p.Index among those of a block (RFC 9162, section 2.1.3.2). The block's entry has the count besides the root: in trees of
// different sizes one path leads from different places to the same root.
func (p *ResultProof) Verify(block *Recent, result Result) error {
	wrong := fault.New(fault.Invalid, "the proof does not lead from the result %s of transaction %s to the root of its block", result.Code, result.ID)
	if p.Count != block.Count || p.Index >= p.Count || len(p.Path) > maxPath {
		return wrong
	}
	at, last, hash := p.Index, p.Count-1, result.hash()
	for _, beside := range p.Path {
		if last == 0 {
			return wrong
		}
		if at&1 == 1 || at == last {
			hash = hashNodes(beside, hash)
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			hash = hashNodes(hash, beside)
		}
		at, last = at>>1, last>>1
	}
	if last != 0 || hash != block.Results {
		return wrong
	}
	return nil
}

// Append appends the encoding of the proof: index uint32, count uint32, hashes to the end.
func (p *ResultProof) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, p.Index), p.Count)
	for i := range p.Path {
		b = append(b, p.Path[i][:]...)
	}
	return b
}

// ParseResultProof is the inverse of Append. Its errors are of kind fault.Invalid.
func ParseResultProof(data []byte) (ResultProof, error) {
	var p ResultProof
	s := cryptobyte.String(data)
	malformed := fault.New(fault.Invalid, "malformed proof of a result")
	if !s.ReadUint32(&p.Index) || !s.ReadUint32(&p.Count) || len(s)%sha256.Size != 0 || len(s)/sha256.Size > maxPath {
		return ResultProof{}, malformed
	}
	for !s.Empty() {
		var h Hash
		s.CopyBytes(h[:])
		p.Path = append(p.Path, h)
	}
	return p, nil
}
