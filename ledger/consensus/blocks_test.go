package consensus

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

// atRest opens the chain of a node that does not run, with the application that the node had.
func atRest(t testing.TB, n *testNode) *Rest {
	t.Helper()
	cfg := n.config()
	r, err := OpenRest(t.Context(), RestConfig{Dir: cfg.Dir, Genesis: cfg.Genesis, Application: cfg.Application})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Blocks are passed on by a file, each checked by who takes them.
func TestBlocksInAFile(t *testing.T) {
	t.Parallel()
	n, node := alone(t, "blocks")
	n.commit("one", node, node)
	n.commit("two", node, node)
	node.halt()
	r := atRest(t, node)
	last, err := r.Last()
	if err != nil || last.Height < 2 || last.Signed != last.Power {
		t.Fatalf("%+v, %v", last, err)
	}
	var file bytes.Buffer
	if count, err := r.Export(&file, 1); err != nil || count != last.Height {
		t.Fatalf("%d blocks, %v", count, err)
	}
	if taken, err := r.Import(t.Context(), bytes.NewReader(file.Bytes())); err != nil || taken != 0 {
		t.Errorf("%d blocks that were here were taken, %v", taken, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for cut := range file.Len() {
		if blocks, err := readBlocks(file.Bytes()[:cut]); err == nil && blocks == last.Height || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("cut at byte %d of %d: %d blocks, %v", cut, file.Len(), blocks, err)
		}
	}
	if blocks, err := readBlocks(file.Bytes()); err != nil || blocks != last.Height {
		t.Errorf("%d blocks, %v", blocks, err)
	}
	if _, err := OpenRest(t.Context(), RestConfig{Dir: filepath.Join(t.TempDir(), "none"), Genesis: n.genesis}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no chain was opened: %v", err)
	}
}

// readBlocks reads a file of blocks to the end, and counts them.
func readBlocks(data []byte) (count int64, err error) {
	b, err := newBlockReader(bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	for {
		if _, _, err := b.next(); errors.Is(err, io.EOF) {
			return count, nil
		} else if err != nil {
			return count, err
		}
		count++
	}
}

func FuzzBlocks(f *testing.F) {
	f.Add([]byte(blocksMagic + "\x05chain\x00\x00\x00\x02ab\x00\x00\x00\x01c"))
	f.Add([]byte(blocksMagic + "\x05chain"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := readBlocks(data); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
	})
}
