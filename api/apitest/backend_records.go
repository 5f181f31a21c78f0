package apitest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// stored is a version of a record, or a deletion, with when it came.
type stored struct {
	api.Record
	since   time.Time
	deleted bool
}

// session is what a session's token holds: the versions seen, by key.
type session map[string]string

// maxSessionKeys is how many keys a session remembers.
const maxSessionKeys = 64

func parseSession(token string) (session, error) {
	s := session{}
	if token == "" {
		return s, nil
	}
	doc, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || json.Unmarshal(doc, &s) != nil {
		return nil, fault.New(fault.Invalid, "session %.40q: want one that an answer carried", token)
	}
	return s, nil
}

// saw returns the token of s after key was seen in version; it forgets an arbitrary other key when there are too many.
func (s session) saw(key, version string) string {
	s[key] = version
	for other := range s {
		if len(s) > maxSessionKeys && other != key {
			delete(s, other)
		}
	}
	doc, err := json.Marshal(s)
	if err != nil {
		panic(err) // a map of strings always marshals
	}
	return base64.RawURLEncoding.EncodeToString(doc)
}

// live tells whether rec is a record that is there; it needs mu.
func (b *Backend) live(rec stored) bool {
	return rec.Version != "" && !rec.deleted && (rec.Expires.IsZero() || b.now().Before(rec.Expires))
}

// liveRecords needs mu.
func (b *Backend) liveRecords() (n int64) {
	for _, rec := range b.records {
		if b.live(rec) {
			n++
		}
	}
	return n
}

// PutRecord implements api.Backend.
func (b *Backend) PutRecord(ctx context.Context, key string, value []byte, opts api.PutOptions) (v1.Written, error) {
	if err := b.enter(ctx, "PutRecord"); err != nil {
		return v1.Written{}, err
	}
	defer b.mu.Unlock()
	if len(value) > v1.MaxValue {
		return v1.Written{}, fault.New(fault.TooLarge, "value of %d bytes: want at most %d", len(value), v1.MaxValue)
	}
	rec := stored{Record: api.Record{Key: key, Value: bytes.Clone(value)}}
	if key != Unsigned {
		rec.Envelope = []byte("signed " + key)
	}
	if opts.TTL > 0 {
		rec.Expires = b.now().Add(opts.TTL).UTC()
	}
	return b.write(rec, opts)
}

// DeleteRecord implements api.Backend. What does not exist may be deleted.
func (b *Backend) DeleteRecord(ctx context.Context, key string, opts api.PutOptions) (v1.Written, error) {
	if err := b.enter(ctx, "DeleteRecord"); err != nil {
		return v1.Written{}, err
	}
	defer b.mu.Unlock()
	return b.write(stored{Record: api.Record{Key: key}, deleted: true}, opts)
}

// write needs mu.
func (b *Backend) write(rec stored, opts api.PutOptions) (v1.Written, error) {
	if err := checkConsistency(opts.Consistency); err != nil {
		return v1.Written{}, err
	}
	if err := checkKey(rec.Key); err != nil {
		return v1.Written{}, err
	}
	seen, err := parseSession(opts.Session)
	if err != nil {
		return v1.Written{}, err
	}
	if err := b.checkCondition(rec.Key, opts); err != nil {
		return v1.Written{}, err
	}
	rec.Version, rec.Author, rec.since = b.nextVersion(rec.Value), Self, b.now().UTC()
	b.records[rec.Key] = rec
	b.noteChange(rec)
	return v1.Written{
		Key: rec.Key, Version: rec.Version, Author: Self, Expires: rec.Expires, Copies: b.copies(), Session: seen.saw(rec.Key, rec.Version),
	}, nil
}

// checkCondition needs mu.
func (b *Backend) checkCondition(key string, opts api.PutOptions) error {
	now, found := b.records[key]
	switch {
	case opts.IfAbsent && opts.IfVersion != "":
		return fault.New(fault.Invalid, "a write depends on a version or on there being none, not on both")
	case opts.IfVersion != "" && !isVersion(opts.IfVersion):
		return fault.New(fault.Invalid, "version %q: want one that an answer carried", opts.IfVersion)
	case opts.IfAbsent && b.live(now):
		return fault.New(fault.Conflict, "record %q exists, in version %s", key, now.Version)
	case opts.IfVersion != "" && (!found || !b.live(now)):
		return fault.New(fault.Conflict, "record %q does not exist, in version %s or another", key, opts.IfVersion)
	case opts.IfVersion != "" && opts.IfVersion != now.Version:
		return fault.New(fault.Conflict, "record %q is in version %s, not %s", key, now.Version, opts.IfVersion)
	}
	return nil
}

// versionDigits is the length of each half of a version.
const versionDigits = 16

// nextVersion needs mu.
func (b *Backend) nextVersion(value []byte) string {
	b.writes++
	digest := sha256.Sum256(value)
	return fmt.Sprintf("%0*x-%x", versionDigits, b.writes, digest[:16])
}

func isVersion(text string) bool {
	time, hash, ok := strings.Cut(text, "-")
	notHex := func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) }
	return ok && len(time) == versionDigits && len(hash) == 2*versionDigits && !strings.ContainsFunc(time+hash, notHex)
}

// GetRecord implements api.Backend.
func (b *Backend) GetRecord(ctx context.Context, key string, opts api.GetOptions) (api.Record, error) {
	if err := b.enter(ctx, "GetRecord"); err != nil {
		return api.Record{}, err
	}
	defer b.mu.Unlock()
	if err := checkConsistency(opts.Consistency); err != nil {
		return api.Record{}, err
	}
	if err := checkKey(key); err != nil {
		return api.Record{}, err
	}
	seen, err := parseSession(opts.Session)
	if err != nil {
		return api.Record{}, err
	}
	rec, found := b.records[key]
	if seen[key] > rec.Version {
		return api.Record{}, fault.New(fault.Unavailable, "record %q: the session has seen version %s, which no peer has now", key, seen[key])
	}
	token := opts.Session
	if found {
		token = seen.saw(key, rec.Version)
	}
	if !b.live(rec) {
		return api.Record{Session: token}, fault.New(fault.NotFound, "record %q does not exist", key)
	}
	got := rec.Record
	got.Value, got.Copies, got.Session = bytes.Clone(rec.Value), b.copies(), token
	return got, nil
}

// Holders implements api.Backend: every peer that is alive holds everything.
func (b *Backend) Holders(ctx context.Context, key string) (v1.Holding, error) {
	if err := b.enter(ctx, "Holders"); err != nil {
		return v1.Holding{}, err
	}
	defer b.mu.Unlock()
	if err := checkKey(key); err != nil {
		return v1.Holding{}, err
	}
	rec, found := b.records[key]
	holding := v1.Holding{Key: key, Wanted: b.wanted(), Copies: configuredCopies, Quorum: b.wanted()/2 + 1, Holders: []v1.Holder{}}
	for _, p := range b.sortedPeers() {
		h := v1.Holder{ID: p.ID, Zone: p.Zone, State: p.State, Wanted: len(holding.Holders) < holding.Wanted, Level: "none"}
		if h.Answered = p.State == "alive"; h.Answered {
			h.Level, h.Found, h.Version, h.Since, h.Size, h.Deleted = "synced", found, rec.Version, rec.since, int64(len(rec.Value)), rec.deleted
		}
		holding.Holders = append(holding.Holders, h)
	}
	return holding, nil
}

// Standing implements api.Backend: all records have every copy unless SetStanding says otherwise.
func (b *Backend) Standing(ctx context.Context) (v1.Standing, error) {
	if err := b.enter(ctx, "Standing"); err != nil {
		return v1.Standing{}, err
	}
	defer b.mu.Unlock()
	standing := b.standing
	if standing.Full+standing.Below+standing.Unreachable == 0 {
		standing.Full = b.liveRecords()
	}
	standing.Complete, standing.Missing = len(b.missing) == 0, slices.Clone(b.missing)
	return standing, nil
}

// SetStanding makes Standing answer these numbers.
func (b *Backend) SetStanding(full, below, unreachable int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.standing = v1.Standing{Full: full, Below: below, Unreachable: unreachable}
}

func checkConsistency(consistency string) error {
	if !slices.Contains([]string{"", "one", "quorum", "all"}, consistency) {
		return fault.New(fault.Invalid, "consistency %q: want one, quorum or all", consistency)
	}
	return nil
}

func checkKey(key string) error {
	switch {
	case len(key) > v1.MaxKey:
		return fault.New(fault.TooLarge, "key of %d bytes: want at most %d", len(key), v1.MaxKey)
	case key == "" || !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl):
		return fault.New(fault.Invalid, "key %q: want 1 to %d bytes of UTF-8 without control characters", key, v1.MaxKey)
	}
	return nil
}
