package ledger

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
)

// An operation on the wire begins with its kind in one byte; then follow, by kind:
//
//	define-asset  asset, scale uint8, cap[16]
//	issue         asset, to[32], amount[16]
//	transfer      asset, from[32], to[32], amount[16]
//	retire        asset, from[32], amount[16]
//	anchor        by[32], digest[32], note<8>
//	set-keys      account[32], keyset
//	admit         by[32], member<8>, name<8>
//	expel         by[32], member<8>
//	propose       by[32], 1 with validator[32] operator[32] power uint64, or 2 with version uint32 height uint64
//	vote          by[32], proposal[32]
//	invite        by[32], account[32], uses uint32, until uint64, note<8>
//	revoke        by[32], account[32]
//	replace-member  old<8>, new<8>
//
// An asset is code<8>, issuer[32].

// minOperation is less than the bytes of any operation: it bounds how many there can be in so many bytes.
const minOperation = 32

// What a proposal is for, on the wire.
const (
	proposePower = 1 + iota
	proposeRules
)

func appendOperation(b []byte, op Operation) []byte {
	b = append(b, byte(op.Kind()))
	switch o := op.(type) {
	case *DefineAsset:
		return o.Cap.appendTo(append(appendAsset(b, &o.Asset), o.Scale))
	case *Issue:
		return o.Amount.appendTo(append(appendAsset(b, &o.Asset), o.To[:]...))
	case *Transfer:
		return o.Amount.appendTo(append(append(appendAsset(b, &o.Asset), o.From[:]...), o.To[:]...))
	case *Retire:
		return o.Amount.appendTo(append(appendAsset(b, &o.Asset), o.From[:]...))
	case *Anchor:
		return appendText(append(append(b, o.By[:]...), o.Digest[:]...), o.Note)
	case *SetKeys:
		return appendKeySet(append(b, o.Account[:]...), &o.KeySet)
	case *Admit:
		return appendText(appendText(append(b, o.By[:]...), o.Member), o.Name)
	case *Expel:
		return appendText(append(b, o.By[:]...), o.Member)
	case *Propose:
		return appendProposal(append(b, o.By[:]...), &o.Proposal)
	case *Vote:
		return append(append(b, o.By[:]...), o.Proposal[:]...)
	case *Invite:
		b = binary.BigEndian.AppendUint32(append(append(b, o.By[:]...), o.Account[:]...), o.Uses)
		return appendText(binary.BigEndian.AppendUint64(b, uint64(o.Until)), o.Note)
	case *Revoke:
		return append(append(b, o.By[:]...), o.Account[:]...)
	case *ReplaceMember:
		return appendText(appendText(b, o.Old), o.New)
	}
	return b // not reached: Operation is implemented by these alone
}

// readOperation returns nil for what is no operation.
func readOperation(s *cryptobyte.String) Operation {
	var kind uint8
	if !s.ReadUint8(&kind) {
		return nil
	}
	var op Operation
	ok := false
	switch Kind(kind) {
	case KindDefineAsset:
		o := new(DefineAsset)
		op, ok = o, readAsset(s, &o.Asset) && s.ReadUint8(&o.Scale) && readAmount(s, &o.Cap)
	case KindIssue:
		o := new(Issue)
		op, ok = o, readAsset(s, &o.Asset) && s.CopyBytes(o.To[:]) && readAmount(s, &o.Amount)
	case KindTransfer:
		o := new(Transfer)
		op, ok = o, readAsset(s, &o.Asset) && s.CopyBytes(o.From[:]) && s.CopyBytes(o.To[:]) && readAmount(s, &o.Amount)
	case KindRetire:
		o := new(Retire)
		op, ok = o, readAsset(s, &o.Asset) && s.CopyBytes(o.From[:]) && readAmount(s, &o.Amount)
	case KindAnchor:
		o := new(Anchor)
		op, ok = o, s.CopyBytes(o.By[:]) && s.CopyBytes(o.Digest[:]) && readText(s, &o.Note)
	case KindSetKeys:
		o := new(SetKeys)
		op, ok = o, s.CopyBytes(o.Account[:]) && readKeySet(s, &o.KeySet)
	case KindAdmit:
		o := new(Admit)
		op, ok = o, s.CopyBytes(o.By[:]) && readText(s, &o.Member) && readText(s, &o.Name)
	case KindExpel:
		o := new(Expel)
		op, ok = o, s.CopyBytes(o.By[:]) && readText(s, &o.Member)
	case KindPropose:
		o := new(Propose)
		op, ok = o, s.CopyBytes(o.By[:]) && readProposal(s, &o.Proposal)
	case KindVote:
		o := new(Vote)
		op, ok = o, s.CopyBytes(o.By[:]) && s.CopyBytes(o.Proposal[:])
	case KindInvite:
		o := new(Invite)
		op, ok = o, s.CopyBytes(o.By[:]) && s.CopyBytes(o.Account[:]) && s.ReadUint32(&o.Uses) && readTime(s, &o.Until) && readText(s, &o.Note)
	case KindRevoke:
		o := new(Revoke)
		op, ok = o, s.CopyBytes(o.By[:]) && s.CopyBytes(o.Account[:])
	case KindReplaceMember:
		o := new(ReplaceMember)
		op, ok = o, readText(s, &o.Old) && readText(s, &o.New)
	}
	if !ok {
		return nil
	}
	return op
}

func appendAsset(b []byte, a *AssetID) []byte { return append(appendText(b, a.Code), a.Issuer[:]...) }

func readAsset(s *cryptobyte.String, a *AssetID) bool {
	return readText(s, &a.Code) && s.CopyBytes(a.Issuer[:])
}

// appendProposal writes what is proposed. It panics unless that is exactly one thing, which Validate sees to.
func appendProposal(b []byte, p *Proposal) []byte {
	if p.SetPower != nil {
		b = append(append(append(b, proposePower), p.SetPower.Validator[:]...), p.SetPower.Operator[:]...)
		return binary.BigEndian.AppendUint64(b, p.SetPower.Power)
	}
	b = binary.BigEndian.AppendUint32(append(b, proposeRules), p.ActivateRules.Version)
	return binary.BigEndian.AppendUint64(b, uint64(p.ActivateRules.Height))
}

func readProposal(s *cryptobyte.String, p *Proposal) bool {
	var what uint8
	if !s.ReadUint8(&what) {
		return false
	}
	switch what {
	case proposePower:
		o := new(SetPower)
		p.SetPower = o
		return s.CopyBytes(o.Validator[:]) && s.CopyBytes(o.Operator[:]) && s.ReadUint64(&o.Power)
	case proposeRules:
		o := new(ActivateRules)
		p.ActivateRules = o
		var height uint64
		ok := s.ReadUint32(&o.Version) && s.ReadUint64(&height) && height <= 1<<63-1
		o.Height = int64(height)
		return ok
	}
	return false
}

func appendText(b []byte, text string) []byte { return append(append(b, byte(len(text))), text...) }

func readText(s *cryptobyte.String, text *string) bool {
	var t cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&t) {
		return false
	}
	*text = string(t)
	return true
}

func readAmount(s *cryptobyte.String, a *Amount) bool {
	var b [amountSize]byte
	if !s.CopyBytes(b[:]) {
		return false
	}
	*a = amountFrom(b[:])
	return true
}
