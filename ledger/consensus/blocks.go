package consensus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
)

// A file of blocks, with which those who can't reach one another by network pass on what was agreed on: blocksMagic, the length of the chain's id in a byte, the id, and then for each block, in ascending order of
// heights without a gap, the block and the commit for it, each as CometBFT encodes it and after its length in four bytes, big endian.
const (
	blocksMagic = "moot blocks 1\n"
	// maxBlockFile and maxCommitFile are the most bytes of an encoded block and of a commit.
	maxBlockFile  = maxMessage
	maxCommitFile = 64 << 10
)

// Export writes the blocks from a height on to w, and returns how many those were. It is fault.NotFound when one of them is not kept.
func (r *Rest) Export(w io.Writer, from int64) (count int64, err error) {
	out := bufio.NewWriter(w)
	id := r.b.chain.ChainID
	out.WriteString(blocksMagic)
	out.WriteByte(byte(len(id)))
	out.WriteString(id)
	for h := max(from, 1); h <= r.b.chain.LastBlockHeight; h++ {
		if err := r.exportBlock(out, h); err != nil {
			return count, err
		}
		count++
	}
	if err := out.Flush(); err != nil {
		return count, fmt.Errorf("write the blocks: %w", err)
	}
	return count, nil
}

func (r *Rest) exportBlock(out *bufio.Writer, height int64) error {
	block, commit := r.b.blocks.LoadBlock(height), r.b.blocks.LoadBlockCommit(height)
	if commit == nil {
		commit = r.b.blocks.LoadSeenCommit(height) // of the last block
	}
	if block == nil || commit == nil {
		return fault.New(fault.NotFound, "block %d is not kept here", height)
	}
	p, err := block.ToProto()
	if err != nil {
		return fmt.Errorf("encode block %d: %w", height, err)
	}
	encoded, err := p.Marshal()
	if err != nil {
		return fmt.Errorf("encode block %d: %w", height, err)
	}
	signatures, err := commit.ToProto().Marshal()
	if err != nil {
		return fmt.Errorf("encode the commit of block %d: %w", height, err)
	}
	for _, part := range [][]byte{encoded, signatures} {
		out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		if _, err := out.Write(part); err != nil {
			return fmt.Errorf("write block %d: %w", height, err)
		}
	}
	return nil
}

// Import takes over the blocks of a file that follow the last one, passes over those that are here, and returns how many it took. Every block is checked against the validators before it. It is fault.Invalid when the
// file is damaged, of another chain, or what it has does not follow; the blocks before that were taken.
func (r *Rest) Import(ctx context.Context, in io.Reader) (count int64, err error) {
	b, err := newBlockReader(in)
	if err != nil {
		return 0, err
	}
	if b.chain != r.b.chain.ChainID {
		return 0, fault.New(fault.Invalid, "the blocks are of the chain %q, and this node's is %q", b.chain, r.b.chain.ChainID)
	}
	for {
		block, commit, err := b.next()
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return count, err
		}
		if block.Height <= r.b.chain.LastBlockHeight {
			continue
		}
		if err := r.Add(ctx, block, commit); err != nil {
			return count, err
		}
		count++
	}
}

// blockReader reads a file of blocks.
type blockReader struct {
	in    *bufio.Reader
	chain string
	last  int64
}

func errBlocks(format string, args ...any) error {
	return fault.New(fault.Invalid, "the file of blocks is damaged: "+format, args...)
}

func newBlockReader(in io.Reader) (*blockReader, error) {
	b := &blockReader{in: bufio.NewReader(in)}
	head := make([]byte, len(blocksMagic)+1)
	if _, err := io.ReadFull(b.in, head); err != nil || string(head[:len(blocksMagic)]) != blocksMagic {
		return nil, fault.New(fault.Invalid, "this is no file of blocks")
	}
	id := make([]byte, head[len(blocksMagic)])
	if _, err := io.ReadFull(b.in, id); err != nil {
		return nil, errBlocks("it was cut off")
	}
	b.chain = string(id)
	return b, nil
}

// next returns the next block, or io.EOF. Nothing but its form was checked.
func (b *blockReader) next() (*types.Block, *types.Commit, error) {
	if _, err := b.in.Peek(1); errors.Is(err, io.EOF) {
		return nil, nil, io.EOF
	}
	encoded, err := b.part(maxBlockFile)
	if err != nil {
		return nil, nil, err
	}
	signatures, err := b.part(maxCommitFile)
	if err != nil {
		return nil, nil, err
	}
	block, commit, err := decodeBlock(encoded, signatures)
	if err != nil {
		return nil, nil, err
	}
	if b.last != 0 && block.Height != b.last+1 {
		return nil, nil, errBlocks("block %d follows block %d", block.Height, b.last)
	}
	b.last = block.Height
	return block, commit, nil
}

func (b *blockReader) part(limit uint32) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(b.in, size[:]); err != nil {
		return nil, b.cut(err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > limit {
		return nil, errBlocks("a part has %d bytes: want 1 to %d", n, limit)
	}
	// Read as it comes: what a length claims is not allocated before it is there.
	data, err := io.ReadAll(io.LimitReader(b.in, int64(n)))
	if err == nil && len(data) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, b.cut(err)
	}
	return data, nil
}

func (b *blockReader) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errBlocks("it was cut off after block %d", b.last)
	}
	return fmt.Errorf("read the blocks: %w", err)
}

// decodeBlock decodes a block and its commit, and checks their form.
func decodeBlock(encoded, signatures []byte) (*types.Block, *types.Commit, error) {
	var pb cmtproto.Block
	if err := pb.Unmarshal(encoded); err != nil {
		return nil, nil, errBlocks("%w", err)
	}
	block, err := types.BlockFromProto(&pb)
	if err == nil {
		err = block.ValidateBasic()
	}
	if err != nil {
		return nil, nil, errBlocks("%w", err)
	}
	var pc cmtproto.Commit
	if err := pc.Unmarshal(signatures); err != nil {
		return nil, nil, errBlocks("block %d: %w", block.Height, err)
	}
	commit, err := types.CommitFromProto(&pc)
	if err == nil {
		err = commit.ValidateBasic()
	}
	if err != nil {
		return nil, nil, errBlocks("block %d: %w", block.Height, err)
	}
	return block, commit, nil
}
