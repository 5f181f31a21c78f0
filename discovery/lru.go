package discovery

import "container/list"

// lru is a map of bounded size: a new key displaces the one that was set longest ago.
type lru[K comparable, V any] struct {
	size    int
	entries map[K]*list.Element
	order   list.List // of lruEntry[K, V], the one set longest ago first
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](size int) *lru[K, V] {
	return &lru[K, V]{size: size, entries: make(map[K]*list.Element)}
}

func (l *lru[K, V]) get(key K) (V, bool) {
	if e, ok := l.entries[key]; ok {
		return e.Value.(lruEntry[K, V]).value, true
	}
	var none V
	return none, false
}

func (l *lru[K, V]) set(key K, value V) {
	if e, ok := l.entries[key]; ok {
		e.Value = lruEntry[K, V]{key, value}
		l.order.MoveToBack(e)
		return
	}
	if len(l.entries) == l.size {
		oldest := l.order.Front()
		delete(l.entries, oldest.Value.(lruEntry[K, V]).key)
		l.order.Remove(oldest)
	}
	l.entries[key] = l.order.PushBack(lruEntry[K, V]{key, value})
}

func (l *lru[K, V]) remove(key K) {
	if e, ok := l.entries[key]; ok {
		delete(l.entries, key)
		l.order.Remove(e)
	}
}

func (l *lru[K, V]) len() int { return len(l.entries) }
