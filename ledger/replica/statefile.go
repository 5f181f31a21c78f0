package replica

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// A file of a state, with which a node without a ledger's last state enters the one that goes on from it: stateMagic, the ledger's id, and then each chunk of the snapshot after its length in four bytes, big endian; a
// length of 0 is the end. What it holds is checked against the root that the successor's genesis names.
const stateMagic = "moot state 1\n"

// ExportState writes the last state to w.
func (r *Rest) ExportState(w io.Writer) error {
	out := bufio.NewWriter(w)
	id := r.genesis.ID()
	out.WriteString(stateMagic)
	out.Write(id[:])
	v := r.store.View()
	err := exportChunks(out, v.Snapshot())
	if err = errors.Join(err, v.Close()); err != nil {
		return err
	}
	out.Write(make([]byte, 4))
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

func exportChunks(out *bufio.Writer, chunks iter.Seq2[[]byte, error]) error {
	for chunk, err := range chunks {
		if err != nil {
			return err
		}
		out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(chunk))))
		if _, err := out.Write(chunk); err != nil {
			return fmt.Errorf("write the state: %w", err)
		}
	}
	return nil
}

// SucceedFrom makes, in a folder that is not there, the data of a replica of a successor, of a file with its predecessor's last state. It is fault.Invalid when the file is damaged, or of another state than the genesis
// names. After an error the folder is to be removed.
func SucceedFrom(dir string, genesis *ledger.Genesis, in io.Reader) error {
	if genesis.Predecessor == nil {
		return fault.New(fault.Invalid, "the ledger goes on from none, and needs no state")
	}
	f, err := newStateReader(in)
	if err != nil {
		return err
	}
	if want := genesis.Predecessor.Genesis.ID(); f.ledger != want {
		return fault.New(fault.Invalid, "the state is of the ledger %s, and this one goes on from %s", f.ledger, want)
	}
	return state.Succeed(state.Config{Dir: filepath.Join(dir, stateDir)}, genesis, f.chunks())
}

// stateReader reads a file of a state.
type stateReader struct {
	in     *bufio.Reader
	ledger ledger.Hash
}

func newStateReader(in io.Reader) (*stateReader, error) {
	f := &stateReader{in: bufio.NewReader(in)}
	head := make([]byte, len(stateMagic)+len(f.ledger))
	if _, err := io.ReadFull(f.in, head); err != nil || string(head[:len(stateMagic)]) != stateMagic {
		return nil, fault.New(fault.Invalid, "this is no file of a state")
	}
	copy(f.ledger[:], head[len(stateMagic):])
	return f, nil
}

// chunks returns the chunks, none of them checked.
func (f *stateReader) chunks() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			chunk, err := f.next()
			if err == nil && chunk == nil || !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}

// next returns the next chunk, nil at the end.
func (f *stateReader) next() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(f.in, size[:]); err != nil {
		return nil, f.cut(err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 {
		return nil, nil
	}
	if n > state.MaxChunk {
		return nil, fault.New(fault.Invalid, "the file of a state is damaged: a chunk has %d bytes, at most %d are allowed", n, state.MaxChunk)
	}
	chunk, err := io.ReadAll(io.LimitReader(f.in, int64(n))) // what a length claims is not allocated before it is there
	if err == nil && len(chunk) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, f.cut(err)
	}
	return chunk, nil
}

func (f *stateReader) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Invalid, "the file of a state is damaged: it was cut off")
	}
	return fmt.Errorf("read the state: %w", err)
}
