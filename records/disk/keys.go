package disk

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hash is the SHA-256 of a key, or of a peer id.
type Hash = [sha256.Size]byte

const (
	spaceMeta     = 'M'
	spaceChange   = 'c'
	spaceHead     = 'h'
	spaceEnvelope = 'e'
	spaceKey      = 'k'
	spaceProvider = 'p'
	spaceProvided = 'o'
)

// Names in spaceMeta.
const (
	metaFormat  = "format"
	metaNetwork = "network"
	metaEpoch   = "epoch"
	metaClock   = "clock"
	metaTotals  = "totals"
	metaDamage  = "damage"  // the shards that are damaged
	metaSalvage = "salvage" // the folder whose records are being salvaged
	metaNote    = "note/"   // and the note's name
)

func metaKey(name string) []byte    { return append([]byte{spaceMeta}, name...) }
func changeKey(seq uint64) []byte   { return binary.BigEndian.AppendUint64([]byte{spaceChange}, seq) }
func headKey(h Hash) []byte         { return append([]byte{spaceHead}, h[:]...) }
func envelopeKey(h Hash) []byte     { return append([]byte{spaceEnvelope}, h[:]...) }
func nameKey(key string) []byte     { return append([]byte{spaceKey}, key...) }
func providedKey(key string) []byte { return append([]byte{spaceProvided}, key...) }
func providersPrefix(h Hash) []byte { return append([]byte{spaceProvider}, h[:]...) }
func providerKey(h, dist Hash) []byte {
	return append(providersPrefix(h), dist[:]...)
}

// successor returns the smallest key that is greater than every key with the given prefix, or nil when there is none.
func successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
