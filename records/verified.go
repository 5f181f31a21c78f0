package records

import (
	"crypto/ed25519"
	"crypto/sha256"
	"sync"
)

// verifiedSlots is how many signatures that were found good are remembered.
const verifiedSlots = 1024

// A verifiedCache remembers signatures that were found good, so that a key which is read again and again costs one check. Each signature has one slot; the latest
// stays. The zero value is empty.
type verifiedCache struct {
	mu    sync.Mutex
	slots [verifiedSlots]verifiedSlot // guarded by mu
}

type verifiedSlot struct {
	digest    [sha256.Size]byte
	signature [ed25519.SignatureSize]byte
}

func slotOf(digest [sha256.Size]byte) int {
	return (int(digest[0])<<8 | int(digest[1])) % verifiedSlots
}

func (c *verifiedCache) has(digest [sha256.Size]byte, signature []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.slots[slotOf(digest)]
	return s.digest == digest && string(s.signature[:]) == string(signature)
}

func (c *verifiedCache) add(digest [sha256.Size]byte, signature []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.slots[slotOf(digest)]
	s.digest = digest
	copy(s.signature[:], signature)
}
