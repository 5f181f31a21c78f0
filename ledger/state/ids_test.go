package state

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/ledger"
)

// idModel has the blocks of a chain with their ids, and what is remembered of them.
type idModel struct {
	rng    *rand.Rand
	ids    *recentIDs
	blocks []idBlock
	next   uint64
	now    int64 // the time of the last block
}

type idBlock struct {
	tip Tip
	ids []ledger.TransactionID
}

func (m *idModel) id() ledger.TransactionID {
	m.next++
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, m.next))
}

func (m *idModel) tip() Tip {
	if len(m.blocks) == 0 {
		return Tip{}
	}
	return m.blocks[len(m.blocks)-1].tip
}

// block adds one, of which is taken note unless it comes otherwise, as with a snapshot.
func (m *idModel) block(noted bool) {
	before := m.tip()
	m.now += m.rng.Int64N(10 * time.Minute.Milliseconds())
	b := idBlock{tip: Tip{Height: before.Height + 1, Time: m.now}}
	b.tip.Root[0] = byte(m.rng.Uint32())
	results := make([]ledger.Result, m.rng.IntN(30))
	for i := range results {
		results[i].ID = m.id()
		b.ids = append(b.ids, results[i].ID)
	}
	if noted {
		m.ids.advance(before, b.tip, results)
	}
	m.blocks = append(m.blocks, b)
}

// check asks at some block for the ids of all blocks up to it that may be asked for at its time, as early as may be.
func (m *idModel) check(t *testing.T) (unknown int) {
	at := m.blocks[m.rng.IntN(len(m.blocks))].tip
	for _, b := range m.blocks {
		for _, id := range b.ids {
			from := b.tip.Time - m.rng.Int64N(1000) // no block before holds it
			if b.tip.Height <= at.Height && b.tip.Time >= at.Time-ledger.MaxWindow.Milliseconds() && m.ids.absent(at, &id, from) {
				t.Fatalf("at block %d a transaction of block %d is said to be in none", at.Height, b.tip.Height)
			}
		}
	}
	for range 20 {
		if id := m.id(); !m.ids.absent(m.tip(), &id, m.tip().Time) {
			unknown++
		}
	}
	return unknown
}

// TestIDsAreNeverAbsent: no transaction is said to be in no block that is in one, whatever comes between: many ids, long pauses, blocks of which only a snapshot tells, and a chain that is dropped.
func TestIDsAreNeverAbsent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m := &idModel{rng: rand.New(rand.NewPCG(seed, 0)), ids: newRecentIDs(64, 4)}
	unknown, asked := 0, 0
	for range 2000 {
		switch n := m.rng.IntN(100); {
		case n == 0: // a snapshot was fetched
			m.blocks = nil
			m.ids.reset(Tip{})
			m.block(false)
			m.ids.reset(m.tip())
		case n == 1: // blocks came of which nobody has told
			m.block(false)
		default:
			m.block(true)
		}
		unknown, asked = unknown+m.check(t), asked+20
	}
	if len(m.ids.filters) > 4 {
		t.Errorf("%d filters", len(m.ids.filters))
	}
	if unknown > asked/5 {
		t.Errorf("of %d new transactions %d have to be looked for", asked, unknown)
	}
}

// TestAgedIDsAreForgotten: after an hour there is nothing left of them.
func TestAgedIDsAreForgotten(t *testing.T) {
	r := newRecentIDs(2, 100)
	first, second := Tip{Height: 1, Time: 1000}, Tip{Height: 2, Time: 1001 + ledger.MaxWindow.Milliseconds()}
	r.advance(Tip{}, first, make([]ledger.Result, 7))
	if len(r.filters) != 4 {
		t.Errorf("%d filters for 7 ids", len(r.filters))
	}
	r.advance(first, second, nil)
	if len(r.filters) != 0 || r.since != first.Time {
		t.Errorf("%d filters, since %d", len(r.filters), r.since)
	}
}
