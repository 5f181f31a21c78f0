package records

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// maxProvided bounds the keys that one node provides.
	maxProvided = 10_000
	// renewCheckEvery is how often it is looked whether provider records are due.
	renewCheckEvery = time.Minute
	// renewUnseenEvery is how often the holders of a key are told that can't be seen to change, because they are not all in view.
	renewUnseenEvery = time.Hour
)

// renewals are the keys that this node provides, and when their holders were told last.
type renewals struct {
	mu   sync.Mutex
	last map[string]renewal // guarded by mu
}

// A renewal is the last time that a key's holders were told; the zero value is never.
type renewal struct {
	at      time.Time
	holders [sha256.Size]byte
}

func (r *renewals) load(d *disk.Disk) error {
	keys, err := d.Provided("", maxProvided)
	if err != nil {
		return fmt.Errorf("read the provided keys: %w", err)
	}
	r.last = make(map[string]renewal, len(keys))
	for _, key := range keys {
		r.last[key] = renewal{}
	}
	return nil
}

// add makes a key one of those that are renewed, for good.
func (r *renewals) add(ctx context.Context, d *disk.Disk, key string) error {
	r.mu.Lock()
	_, known := r.last[key]
	full := !known && len(r.last) >= maxProvided
	if !known && !full {
		r.last[key] = renewal{}
	}
	r.mu.Unlock()
	switch {
	case known:
		return nil
	case full:
		return fault.New(fault.Full, "this node provides %d keys already, which is the most", maxProvided)
	}
	if err := d.SetProvided(ctx, key); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.last, key)
		return err
	}
	return nil
}

func (r *renewals) done(key string, at time.Time, holders [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[key] = renewal{at, holders}
}

// due reports whether the holders that a key has now are to be told.
func (r *renewals) due(key string, now time.Time, holders [sha256.Size]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.last[key]
	return last.holders != holders || now.Sub(last.at) >= renewEvery
}

// old reports whether the holders of a key that are not all in view are to be told.
func (r *renewals) old(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Sub(r.last[key].at) >= renewUnseenEvery
}

func (r *renewals) keys() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]string, 0, len(r.last))
	for key := range r.last {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
