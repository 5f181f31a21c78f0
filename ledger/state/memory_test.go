package state

import "testing"

// TestRoomIsBounded: a store takes what it always took where there is little memory or nobody knows how much, and no more than so much where there is a lot.
func TestRoomIsBounded(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	least := room{pages: 64 * mib, blocks: 32 * mib, table: 32 * mib}
	for memory, want := range map[int64]room{
		0: least, 256 * mib: least, 2 * gib: least,
		8 * gib: {128 * mib, 128 * mib, 32 * mib}, 16 * gib: {256 * mib, 256 * mib, 64 * mib}, 1 << 62: {256 * mib, 256 * mib, 64 * mib},
	} {
		if got := roomIn(memory); got != want {
			t.Errorf("of %d bytes: %+v, want %+v", memory, got, want)
		}
	}
}
