package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
)

// A Copy is one peer's copy of a record.
type Copy struct {
	Peer    *Peer
	Version records.Version
}

// Census returns all copies of all records on the disks of the peers that run, by key. Tombstones are not among them.
func (n *Network) Census(ctx context.Context) (map[string][]Copy, error) {
	census := map[string][]Copy{}
	for _, p := range n.Peers() {
		if err := p.count(ctx, census); err != nil {
			return nil, fmt.Errorf("count the records of %s: %w", p, err)
		}
	}
	return census, nil
}

// count adds the peer's copies to the census.
func (p *Peer) count(ctx context.Context, census map[string][]Copy) error {
	store := p.Store()
	if store == nil {
		return nil
	}
	opts := records.ListOptions{Local: true}
	for {
		page, err := store.List(ctx, opts)
		if err != nil && !p.Running() {
			return nil
		} else if err != nil {
			return err
		}
		for _, e := range page.Entries {
			census[e.Key] = append(census[e.Key], Copy{p, e.Version})
		}
		if opts.Cursor = page.Cursor; opts.Cursor == "" {
			return nil
		}
	}
}

// LiveCopies returns the copies of a record on the disks of the peers that run.
func (n *Network) LiveCopies(ctx context.Context, key string) ([]Copy, error) {
	census, err := n.Census(ctx)
	return census[key], err
}

// wanted is how many copies a network of so many peers wants.
func (n *Network) wanted(peers int) int {
	copies := n.cfg.Copies
	if copies == 0 {
		copies = records.DefaultCopies
	}
	return min(copies, peers)
}

// maxNamed is how many offenders an error names.
const maxNamed = 5

// CheckFullCount returns nil when of every record there are exactly as many live copies as the running peers want, all of one version, which is not older than the one given.
func (n *Network) CheckFullCount(ctx context.Context, acknowledged map[string]records.Version) error {
	_, err := n.belowFullCount(ctx, acknowledged)
	return err
}

// belowFullCount returns the records that CheckFullCount finds wrong, sorted, and its error.
func (n *Network) belowFullCount(ctx context.Context, acknowledged map[string]records.Version) (keys []string, err error) {
	census, err := n.Census(ctx)
	if err != nil {
		return nil, err
	}
	want := n.wanted(len(n.Peers()))
	problems := map[string]string{}
	for key, version := range acknowledged {
		if problem := judge(census[key], want, version); problem != "" {
			problems[key] = problem
		}
	}
	if len(problems) == 0 {
		return nil, nil
	}
	keys = slices.Sorted(maps.Keys(problems))
	var named []string
	for _, key := range keys[:min(len(keys), maxNamed)] {
		named = append(named, key+": "+problems[key])
	}
	return keys, fmt.Errorf("%d of %d records are not at their full count: %s", len(keys), len(acknowledged), strings.Join(named, "; "))
}

// Describe tells, for an error message, what the first peer that runs learns of a record's holders.
func (n *Network) Describe(ctx context.Context, key string) string {
	names := map[peer.ID]string{}
	peers := n.Peers()
	for _, p := range peers {
		names[p.id] = p.name
	}
	if len(peers) == 0 {
		return "nobody runs"
	}
	h, err := peers[0].Store().Holders(ctx, key)
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s at %s by %s:", key, time.Now().Format(clockFormat), peers[0])
	for _, s := range h.Holders {
		name := names[s.ID]
		if name == "" {
			name = s.ID.String()
		}
		fmt.Fprintf(&text, "\n  %s %s", name, s.Member)
		if !s.Holder {
			text.WriteString(", no holder")
		}
		if s.Answered {
			fmt.Fprintf(&text, ", %s", s.Level)
		}
		if s.Found {
			fmt.Fprintf(&text, ", %s since %s", s.Version, s.Since.Format(clockFormat))
		}
	}
	return text.String()
}

// clockFormat is how moments are shown.
const clockFormat = "15:04:05.000"

func judge(copies []Copy, want int, atLeast records.Version) string {
	if len(copies) != want {
		return fmt.Sprintf("%d copies, want %d", len(copies), want)
	}
	for _, c := range copies {
		if c.Version != copies[0].Version {
			return fmt.Sprintf("%s has %s, %s has %s", c.Peer, c.Version, copies[0].Peer, copies[0].Version)
		}
	}
	if copies[0].Version.Compare(atLeast) < 0 {
		return fmt.Sprintf("at %s, acknowledged was %s", copies[0].Version, atLeast)
	}
	return ""
}

// countEvery is how often AwaitFullCount counts; that costs more than other conditions.
const countEvery = 500 * time.Millisecond

// AwaitFullCount waits until CheckFullCount finds nothing wrong, and returns how long that took, to half a second. It fails after within.
func (n *Network) AwaitFullCount(ctx context.Context, acknowledged map[string]records.Version, within time.Duration) (time.Duration, error) {
	var below []string
	took, err := await(ctx, countEvery, within, func() (err error) {
		below, err = n.belowFullCount(ctx, acknowledged)
		return err
	})
	if err != nil && len(below) > 0 {
		err = fmt.Errorf("%w\n%s", err, n.Describe(ctx, below[0]))
	}
	return took, err
}

// AwaitCopies waits until all copies of one record are on the disks of peers that run, at the version given or a later one, and returns how long that took, to the millisecond.
func (n *Network) AwaitCopies(ctx context.Context, key string, atLeast records.Version, within time.Duration) (time.Duration, error) {
	start := time.Now()
	for {
		copies := 0
		peers := n.Peers()
		for _, p := range peers {
			page, err := p.Store().List(ctx, records.ListOptions{Prefix: key, Limit: 1, Local: true})
			if err != nil {
				return 0, err
			}
			if len(page.Entries) == 1 && page.Entries[0].Key == key && page.Entries[0].Version.Compare(atLeast) >= 0 {
				copies++
			}
		}
		took := time.Since(start)
		if copies >= n.wanted(len(peers)) {
			return took, nil
		}
		if took > within {
			return took, fmt.Errorf("%s has %d copies after %s", key, copies, took)
		}
		time.Sleep(time.Millisecond)
	}
}

// AwaitReadable waits until every record can be read through some running peer, in a version not older than the one given, and returns how long that took. That nobody can tell at the moment is waited for; that a record is not there, or
// only an older one, is an error at once.
func (n *Network) AwaitReadable(ctx context.Context, acknowledged map[string]records.Version, within time.Duration) (time.Duration, error) {
	start := time.Now()
	left := maps.Clone(acknowledged)
	for {
		var last error
		peers := n.Peers()
		if len(peers) == 0 {
			return 0, errors.New("nobody runs")
		}
		for key, version := range left {
			switch err := peers[n.IntN(len(peers))].readable(ctx, key, version); {
			case err == nil:
				delete(left, key)
			case fault.KindOf(err) == fault.Unavailable:
				last = err
			default:
				return 0, err
			}
		}
		took := time.Since(start)
		if len(left) == 0 {
			return took, nil
		}
		if took >= within {
			return 0, fmt.Errorf("%d of %d records can't be read after %s: %w", len(left), len(acknowledged), took, last)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// readable returns nil when a record can be read through a peer, in a version not older than the one given.
func (p *Peer) readable(ctx context.Context, key string, atLeast records.Version) error {
	r, err := p.Get(ctx, key, records.GetOptions{})
	if err != nil {
		return fmt.Errorf("through %s: %w", p, err)
	}
	if r.Version.Compare(atLeast) < 0 {
		return fmt.Errorf("%s is read as %s, acknowledged was %s", key, r.Version, atLeast)
	}
	return nil
}

// CheckReadable returns nil when every record can be read through some running peer, in a version not older than the one given.
func (n *Network) CheckReadable(ctx context.Context, acknowledged map[string]records.Version) error {
	peers := n.Peers()
	if len(peers) == 0 {
		return errors.New("nobody runs")
	}
	var wrong []error
	i := n.IntN(len(peers))
	for key, version := range acknowledged {
		i++
		if err := peers[i%len(peers)].readable(ctx, key, version); err != nil {
			wrong = append(wrong, err)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d records can't be read: %w", len(wrong), len(acknowledged), errors.Join(wrong[:min(len(wrong), maxNamed)]...))
}
