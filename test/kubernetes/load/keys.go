package load

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
)

const (
	// ownKeys is how many keys of its own each caller writes over and over.
	ownKeys = 4
	// sharedKeys is how many keys all callers write.
	sharedKeys = 8
)

// A write is one of the values that a key is given.
type write struct {
	key string
	// caller and number tell the writes of a key apart; a caller's numbers grow.
	caller, number int
}

// value returns the value of the write, of at least size bytes: it tells whose it is, and whether it is whole.
func (w write) value(size int) string {
	unit := fmt.Sprintf("%s=%d.%d;", w.key, w.caller, w.number)
	return strings.Repeat(unit, max(1, (size+len(unit)-1)/len(unit)))
}

// parseWrite reads of which write a value is. It does not check that the value is whole.
func parseWrite(value string) (write, bool) {
	unit, _, _ := strings.Cut(value, ";")
	key, numbers, ok := strings.Cut(unit, "=")
	caller, number, dot := strings.Cut(numbers, ".")
	c, err1 := strconv.Atoi(caller)
	n, err2 := strconv.Atoi(number)
	return write{key: key, caller: c, number: n}, ok && dot && err1 == nil && err2 == nil
}

// A keyring names the keys of a load and knows which of them have been acknowledged.
type keyring struct {
	prefix string

	mu    sync.Mutex
	known []string       // guarded by mu; keys with an acknowledged write
	index map[string]int // guarded by mu; of known
}

func newKeyring(seed uint64) *keyring {
	return &keyring{prefix: fmt.Sprintf("load/%016x/", seed), index: map[string]int{}}
}

// fresh returns a key that is written once.
func (k *keyring) fresh(caller, n int) string { return fmt.Sprintf("%snew/%d/%d", k.prefix, caller, n) }

// own returns one of the keys that a caller alone writes.
func (k *keyring) own(caller, n int) string { return fmt.Sprintf("%sown/%d/%d", k.prefix, caller, n) }

// shared returns one of the keys that everybody writes.
func (k *keyring) shared(n int) string { return fmt.Sprintf("%sshared/%d", k.prefix, n) }

// singleWriter reports whether only one caller writes the key.
func (k *keyring) singleWriter(key string) bool { return !strings.HasPrefix(key, k.prefix+"shared/") }

// acknowledged notes that a write of the key was acknowledged.
func (k *keyring) acknowledged(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.index[key]; !ok {
		k.index[key] = len(k.known)
		k.known = append(k.known, key)
	}
}

// pick returns one of the acknowledged keys; false: there is none yet. Half of the picks are among those written over and over.
func (k *keyring) pick(rng *rand.Rand, caller int) (string, bool) {
	hot := k.shared(rng.IntN(sharedKeys))
	if rng.IntN(2) == 0 {
		hot = k.own(caller, rng.IntN(ownKeys))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.known) == 0 {
		return "", false
	}
	if _, ok := k.index[hot]; ok && rng.IntN(2) == 0 {
		return hot, true
	}
	return k.known[rng.IntN(len(k.known))], true
}
