package records

import (
	"bytes"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/records/disk"
)

func FuzzChangesRequest(f *testing.F) {
	f.Add((&changesRequest{limit: 1}).marshal())
	f.Add((&changesRequest{epoch: epoch{1}, after: 7, since: 9, limit: maxChanges, wait: maxChangesWait, prefix: "a/"}).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := unmarshalChangesRequest(data)
		if err != nil {
			return
		}
		if r.limit < 1 || r.limit > maxChanges || r.wait < 0 || r.wait > maxChangesWait || len(r.prefix) > MaxKey || r.after+1 == 0 {
			t.Errorf("out of bounds: %+v", r)
		}
		if again := r.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzChanges(f *testing.F) {
	f.Add((&changes{epoch: epoch{1}, next: 2, last: 3}).marshal())
	f.Add((&changes{last: 3, heads: []disk.Head{{Key: "a", Rank: disk.Rank{1}, Expires: 3, Size: 4}, {Key: "a", Deleted: true}}}).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := unmarshalChanges(data)
		if err != nil {
			return
		}
		if len(c.heads) > maxChanges || c.next > c.last || c.last+1 == 0 {
			t.Errorf("out of bounds: %+v", c)
		}
		for i := range c.heads {
			if checkKeyText(c.heads[i].Key) != nil || c.heads[i].Size > MaxValue {
				t.Errorf("head %+v", c.heads[i])
			}
		}
		if again := c.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add((&cursor{}).String())
	f.Add((&cursor{network: [4]byte{1}, prefix: [4]byte{2}, time: 3, places: []cursorPlace{{member: memberTag{1}, after: 7}, {member: memberTag{2}, epoch: [4]byte{9}}}}).String())
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil {
			return
		}
		if len(text) > maxCursor || len(c.places) > maxCursorPlaces {
			t.Errorf("%d bytes, %d places", len(text), len(c.places))
		}
		if again := c.String(); again != text {
			t.Errorf("%q was read and written as %q", text, again)
		}
		if trimmed := trimPlaces(c.places); len(trimmed) != len(c.places) {
			t.Errorf("%d places of %d are left", len(trimmed), len(c.places))
		}
		if _, err := c.check(c.network, c.prefix, time.UnixMilli(1_700_000_000_000)); err != nil {
			t.Errorf("check: %v", err)
		}
	})
}

// TestLargestCursor fits its bound.
func TestLargestCursor(t *testing.T) {
	var c cursor
	for i := range 2 * maxCursorPlaces {
		c.places = append(c.places, cursorPlace{member: memberTag{byte(i >> 8), byte(i)}})
	}
	c.places = trimPlaces(c.places)
	text := c.String()
	got, err := parseCursor(text)
	if err != nil || len(got.places) != maxCursorPlaces || len(text) > maxCursor {
		t.Errorf("%d places, %d bytes of %d, %v", len(got.places), len(text), maxCursor, err)
	}
}
