package main

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
)

const (
	// keyBytes is the length of a balance's key: prefix, account, issuer, code.
	keyBytes   = 1 + 32 + 32 + 4
	valueBytes = 16
	// fillBlock is how many entries at a time a tree is filled with that has no better way.
	fillBlock = 50_000
	// proofs is how many proofs are made and checked.
	proofs = 2000
	// seed makes every run the same.
	seed = 7
)

type config struct {
	entries, block, blocks, warm, cacheMB int
	profile                               string
}

// A pair is a key and a value.
type pair struct{ key, value []byte }

// A subject is a tree that is measured, empty at first, on a store of its own.
type subject interface {
	// fill puts in the first entries.
	fill(pairs func(yield func(pair) bool)) error
	// update changes entries in one block and commits it.
	update(changes []pair) error
	// prove returns the proof of an entry, its size in bytes, and how to check it.
	prove(p pair) (size int, check func() error, err error)
}

// subjects are the trees by name.
var subjects = map[string]func(*store, config) subject{
	"ours":            func(db *store, cfg config) subject { return newOurs(db, cfg.cacheMB<<20) },
	"ours-all-cached": func(db *store, _ config) subject { return newOurs(db, 1<<30) },
	"ours-no-store":   func(_ *store, _ config) subject { return newAlone(1 << 30) },
	"smt":             newPokt,
	"iavl":            newIAVL,
}

func allNames() []string { return slices.Sorted(maps.Keys(subjects)) }

// entry returns the i-th entry in its n-th version.
func entry(i, n int) pair {
	p := pair{make([]byte, keyBytes), make([]byte, valueBytes)}
	binary.BigEndian.PutUint64(p.key[1:], uint64(i)*0x9e3779b97f4a7c15) // scattered, as accounts are
	binary.BigEndian.PutUint64(p.key[9:], uint64(i))
	copy(p.key[65:], "GOLD")
	binary.BigEndian.PutUint64(p.value[8:], uint64(n)<<32|uint64(i))
	return p
}

type result struct {
	filled, update, wall, prove, check time.Duration
	given, written                     float64
	proof                              int
	heap                               uint64
}

func (r result) row(name string, entries int) []string {
	us := func(d time.Duration) string { return fmt.Sprintf("%.1f us", float64(d.Nanoseconds())/1000) }
	return []string{
		name, fmt.Sprint(entries), fmt.Sprintf("%.1f s", r.filled.Seconds()), us(r.update), fmt.Sprintf("%.0f ms", float64(r.wall.Microseconds())/1000),
		fmt.Sprintf("%.0f B", r.given), fmt.Sprintf("%.0f B", r.written), fmt.Sprintf("%d B", r.proof), us(r.prove), us(r.check),
		fmt.Sprintf("%d MiB", r.heap>>20),
	}
}

// measureOne fills a tree, changes it block by block, and makes proofs.
func measureOne(s subject, db *store, cfg config) (result, error) {
	var r result
	var err error
	r.filled, err = cpuOf(func() error {
		return s.fill(func(yield func(pair) bool) {
			for i := range cfg.entries {
				if !yield(entry(i, 0)) {
					return
				}
			}
		})
	})
	if err != nil {
		return r, err
	}
	if err := db.settle(); err != nil {
		return r, err
	}
	random := rand.New(rand.NewPCG(seed, 0))
	last := map[int]int{} // version by entry
	block := func(n int) error {
		changes := make([]pair, 0, cfg.block)
		for len(changes) < cfg.block {
			if i := random.IntN(cfg.entries); last[i] != n {
				last[i] = n
				changes = append(changes, entry(i, n))
			}
		}
		return s.update(changes)
	}
	for n := range cfg.warm {
		if err := block(n + 1); err != nil {
			return r, err
		}
	}
	if err := db.settle(); err != nil {
		return r, err
	}
	runtime.GC()
	given, written := db.traffic()
	stop, err := profile(cfg.profile)
	if err != nil {
		return r, err
	}
	begin := time.Now()
	cpu, err := cpuOf(func() error {
		for n := range cfg.blocks {
			if err := block(cfg.warm + n + 1); err != nil {
				return err
			}
		}
		return nil
	})
	stop()
	if err != nil {
		return r, err
	}
	updates := cfg.block * cfg.blocks
	r.wall = time.Since(begin) / time.Duration(cfg.blocks)
	r.update = cpu / time.Duration(updates)
	// Compactions that the blocks caused and did not wait for are counted with them.
	rest, err := cpuOf(db.settle)
	if err != nil {
		return r, err
	}
	r.update += rest / time.Duration(updates)
	given2, written2 := db.traffic()
	r.given, r.written = float64(given2-given)/float64(updates), float64(written2-written)/float64(updates)
	if err := r.measureProofs(s, cfg, random, last); err != nil {
		return r, err
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	r.heap = memory.HeapAlloc
	runtime.KeepAlive(s)
	return r, nil
}

func (r *result) measureProofs(s subject, cfg config, random *rand.Rand, last map[int]int) error {
	checks := make([]func() error, proofs)
	bytes := 0
	prove, err := cpuOf(func() error {
		for i := range checks {
			which := random.IntN(cfg.entries)
			size, check, err := s.prove(entry(which, last[which]))
			if err != nil {
				return err
			}
			bytes, checks[i] = bytes+size, check
		}
		return nil
	})
	if err != nil {
		return err
	}
	check, err := cpuOf(func() error {
		for _, check := range checks {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	})
	r.proof, r.prove, r.check = bytes/proofs, prove/proofs, check/proofs
	return err
}

// cpuOf returns the processor time that the process uses while f runs.
func cpuOf(f func() error) (time.Duration, error) {
	before, err := measure.CPU()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := measure.CPU()
	return after - before, err
}

// profile begins a profile of the processor time, if it is asked for.
func profile(name string) (stop func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return pprof.StopCPUProfile, pprof.StartCPUProfile(f)
}
