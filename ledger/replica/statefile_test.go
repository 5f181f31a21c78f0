package replica

import (
	"bytes"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

func FuzzStateFile(f *testing.F) {
	head := stateMagic + string(make([]byte, 32))
	f.Add([]byte(head + "\x00\x00\x00\x02ab\x00\x00\x00\x00"))
	f.Add([]byte(head + "\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := newStateReader(bytes.NewReader(data))
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		read := 0
		for chunk, err := range r.chunks() {
			if err != nil && fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			if read += len(chunk); read > len(data) {
				t.Fatalf("%d bytes of chunks in %d", read, len(data))
			}
		}
	})
}
