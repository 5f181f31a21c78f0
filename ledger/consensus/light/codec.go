package light

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// A Signed in bytes: header<16>, commit<24>. A Step: Signed, count uint16, for each validator: key[32] power uint64. What is in them is as Path has it, and is checked only by Chain and Path.

// MaxStep is the most bytes of an encoded Step; an encoded Signed has fewer.
const MaxStep = 2 + maxHeader + 3 + maxCommit + 2 + ledger.MaxValidators*(len(ledger.PublicKey{})+8)

// Append appends the encoding.
func (s *Signed) Append(b []byte) []byte {
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(s.Header))), s.Header...)
	n := len(s.Commit)
	return append(append(b, byte(n>>16), byte(n>>8), byte(n)), s.Commit...)
}

// Append appends the encoding.
func (s *Step) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(s.Signed.Append(b), uint16(len(s.Next)))
	for i := range s.Next {
		b = append(b, s.Next[i].Key[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(s.Next[i].Power))
	}
	return b
}

func readSigned(s *cryptobyte.String, out *Signed) bool {
	var header, commit cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&header) || !s.ReadUint24LengthPrefixed(&commit) || len(header) > maxHeader || len(commit) > maxCommit {
		return false
	}
	out.Header, out.Commit = append([]byte(nil), header...), append([]byte(nil), commit...)
	return true
}

// ReadSigned reads one from the front of data, and returns the rest. Errors are of kind fault.Invalid.
func ReadSigned(data []byte) (out Signed, rest []byte, err error) {
	s := cryptobyte.String(data)
	if !readSigned(&s, &out) {
		return Signed{}, nil, fault.New(fault.Invalid, "malformed signed header")
	}
	return out, s, nil
}

// ReadStep reads one from the front of data, and returns the rest. Errors are of kind fault.Invalid.
func ReadStep(data []byte) (out Step, rest []byte, err error) {
	malformed := fault.New(fault.Invalid, "malformed change of validators")
	s := cryptobyte.String(data)
	var count uint16
	if !readSigned(&s, &out.Signed) || !s.ReadUint16(&count) || count == 0 || count > ledger.MaxValidators {
		return Step{}, nil, malformed
	}
	out.Next = make([]Validator, count)
	for i := range out.Next {
		var power uint64
		if !s.CopyBytes(out.Next[i].Key[:]) || !s.ReadUint64(&power) || power == 0 || power > ledger.MaxPower {
			return Step{}, nil, malformed
		}
		out.Next[i].Power = int64(power)
	}
	return out, s, nil
}
