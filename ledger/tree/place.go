package tree

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// A place is where a subtree hangs: what its keys have in common.
type place struct {
	depth int
	path  Hash // bits from depth on are zero
}

// child returns the place below, on the side of the given bit.
func (p place) child(side int) place {
	p.path[p.depth>>3] |= byte(side << (7 - p.depth&7))
	p.depth++
	return p
}

// holds reports whether a key belongs below the place.
func (p *place) holds(key *Hash) bool {
	whole := p.depth >> 3
	if !bytes.Equal(p.path[:whole], key[:whole]) {
		return false
	}
	rest := p.depth & 7
	return rest == 0 || (p.path[whole]^key[whole])>>(8-rest) == 0
}

// isPage reports whether a branch page begins at the place if more than a bucket hangs there.
func (p *place) isPage() bool { return p.depth%pageLevels == 0 }

// maxPageKey is the length of the longest key of a page, in bytes.
const maxPageKey = 1 + len(Hash{})

// appendKey writes the key of the page at the place: depth, then as many bytes of the path as it takes. The pages near the root, which
// every block changes, have neighbouring keys.
func (p *place) appendKey(b []byte) []byte {
	return append(append(b, byte(p.depth)), p.path[:(p.depth+7)>>3]...)
}

// String returns the place as it is named in errors: depth and path.
func (p *place) String() string {
	return fmt.Sprintf("%d:%s", p.depth, hex.EncodeToString(p.path[:(p.depth+7)>>3]))
}
