package light

import (
	"bytes"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func FuzzStep(f *testing.F) {
	step := Step{Signed: Signed{Header: []byte("header"), Commit: []byte("commit")}, Next: []Validator{{ledger.PublicKey{1}, 10}, {ledger.PublicKey{2}, 20}}}
	f.Add(step.Append(nil))
	f.Add(append(step.Append(nil), 1, 2, 3))
	f.Add(step.Signed.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, rest, err := ReadStep(data)
		if err == nil {
			if again := append(s.Append(nil), rest...); !bytes.Equal(again, data) || len(data)-len(rest) > MaxStep {
				t.Errorf("%x was read and written as %x", data, again)
			}
		} else if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v is of kind %v", err, fault.KindOf(err))
		}
		signed, rest, err := ReadSigned(data)
		if err == nil {
			if again := append(signed.Append(nil), rest...); !bytes.Equal(again, data) {
				t.Errorf("%x was read and written as %x", data, again)
			}
		} else if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v is of kind %v", err, fault.KindOf(err))
		}
	})
}
