package tree

import "sync"

// A Cache keeps pages in memory, those nearest to the root before others. Pages are asked for by place and hash, so what it holds is never out of date: at
// worst it is of no use. It may be used by many goroutines, and a nil Cache keeps nothing.
type Cache struct {
	max int // bytes

	mu     sync.Mutex
	levels [maxDepth]map[Hash]*page // guarded by mu; by depth, then path
	deep   int                      // guarded by mu; no page is deeper
	bytes  int                      // guarded by mu
}

// NewCache returns a cache that takes about as much memory as said, in bytes. The branches of a million entries take some 20 MiB, all pages 110 MiB.
func NewCache(bytes int) *Cache { return &Cache{max: bytes} }

// get returns the page with the given place and hash, nil if it is not kept.
func (c *Cache) get(at place, hash Hash) *page {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	p := c.levels[at.depth][at.path]
	c.mu.Unlock()
	if p == nil || p.hash != hash {
		return nil
	}
	return p
}

// put keeps a page instead of the one at its place, if any; nil keeps none there. Where that is too much, the deepest pages go.
func (c *Cache) put(at place, p *page) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(at.depth, at.path, p)
	for c.bytes > c.max {
		for path := range c.levels[c.deep] {
			c.set(c.deep, path, nil)
			break
		}
		for c.deep > 0 && len(c.levels[c.deep]) == 0 {
			c.deep--
		}
	}
}

// set is called with mu held.
func (c *Cache) set(depth int, path Hash, p *page) {
	level := c.levels[depth]
	if old := level[path]; old != nil {
		c.bytes -= old.bytes()
	}
	if p == nil {
		delete(level, path)
		return
	}
	if level == nil {
		level = map[Hash]*page{}
		c.levels[depth] = level
	}
	level[path] = p
	c.bytes += p.bytes()
	c.deep = max(c.deep, depth)
}
