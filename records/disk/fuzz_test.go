package disk

import (
	"bytes"
	"testing"
)

func FuzzHead(f *testing.F) {
	f.Add((&Head{Key: "key", Rank: rank(1), Expires: 5, Size: 7, Deleted: true}).append(nil))
	f.Add([]byte{headVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := unmarshalHead(data)
		if err != nil {
			return
		}
		if len(h.Key) == 0 || len(h.Key) > maxKey {
			t.Errorf("key of %d bytes", len(h.Key))
		}
		if again := h.append(nil); !bytes.Equal(again, data) || len(again) != h.size() {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzProvider(f *testing.F) {
	f.Add((&Provider{Rank: rank(1), Expires: 5, Envelope: []byte("e")}).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := unmarshalProvider(data)
		if err != nil {
			return
		}
		if len(p.Envelope) == 0 {
			t.Error("no envelope")
		}
		if again := p.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}
