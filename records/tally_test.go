package records

import (
	"errors"
	"slices"
	"testing"

	"github.com/folkmoot/folkmoot/records/disk"
)

// TestTally feeds random answers in random order and checks each decision against its definition.
func TestTally(t *testing.T) {
	rng := newRNG(t)
	for range 5000 {
		topology := newTopology(randomView(rng, 2+rng.IntN(12), 1+rng.IntN(3)), 1+rng.IntN(6), nil)
		p := topology.place(disk.Shard(rng.IntN(disk.Shards)))
		level := []Consistency{One, Quorum, All}[rng.IntN(3)]
		final := rng.IntN(2) == 0
		tally := newTally(&p, level, final)
		order := rng.Perm(len(tally.targets))
		var proof []int
		copies, newer := 0, 0
		for n, at := range order {
			member := tally.targets[at]
			o := outcome[response]{member: member, answer: response{status: statusOK, standing: standpoint{level: LevelSynced}}}
			counts := true
			switch rng.IntN(4) {
			case 0:
				o.err, counts = errors.New("silent"), false
			case 1:
				o.answer.status, o.answer.rank = statusNewer, disk.Rank{byte(1 + rng.IntN(200))}
				if counts = final; !final {
					newer++
				}
			}
			if counts {
				proof = append(proof, member)
				if member != p.witness {
					copies++
				}
			}
			tally.add(o)
			left := len(order) - n - 1
			acknowledged := copies >= level.needed(topology) && (level == One || p.spansZones(proof))
			if tally.acknowledged() != acknowledged || tally.pending() != left {
				t.Fatalf("%d copies at %v of %d for %s: acknowledged %v, pending %d", copies, proof, topology.wanted, level, tally.acknowledged(), tally.pending())
			}
			if tally.hopeless() && copies+left >= level.needed(topology) && left > 0 {
				t.Fatalf("gave up with %d copies, %d answers to come and %d needed", copies, left, level.needed(topology))
			}
			if left == 0 && !acknowledged && !tally.hopeless() {
				t.Fatal("waits for answers that can't come")
			}
			if tally.superseded() != (newer > 0 && !acknowledged) {
				t.Fatalf("%d newer versions, superseded %v", newer, tally.superseded())
			}
		}
	}
}

func TestMergeParts(t *testing.T) {
	rng := newRNG(t)
	for range 2000 {
		newest := map[string]disk.Rank{}
		var parts []part
		horizon := "~"
		for range 1 + rng.IntN(5) {
			var p part
			for c := 'a'; c <= 'p'; c++ {
				if rng.IntN(3) == 0 {
					p.heads = append(p.heads, disk.Head{Key: string(c), Rank: disk.Rank{byte(rng.IntN(4))}})
				}
			}
			if p.more = len(p.heads) > 0 && rng.IntN(2) == 0; p.more {
				horizon = min(horizon, p.heads[len(p.heads)-1].Key)
			}
			parts = append(parts, p)
		}
		for _, p := range parts {
			for _, h := range p.heads {
				if old, ok := newest[h.Key]; h.Key <= horizon && (!ok || old.Compare(h.Rank) < 0) {
					newest[h.Key] = h.Rank
				}
			}
		}
		merged, more := mergeParts(parts)
		if more != (horizon != "~") || len(merged) != len(newest) || !slices.IsSortedFunc(merged, func(a, b disk.Head) int {
			if a.Key < b.Key {
				return -1
			}
			return 1
		}) {
			t.Fatalf("merged %v, more %v; want %v up to %s", merged, more, newest, horizon)
		}
		for _, h := range merged {
			if newest[h.Key] != h.Rank {
				t.Fatalf("%s = %v, want %v", h.Key, h.Rank, newest[h.Key])
			}
		}
	}
}
