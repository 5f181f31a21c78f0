package gate

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
)

// A class is a kind of messages that share a stream, on which they keep their order. Those of one class never wait for another's: a vote is not behind a block.
type class string

// The classes, as the protocol ids have them.
const (
	classVotes        class = "votes"        // votes, and who has which
	classProposals    class = "proposals"    // the proposed block, in parts
	classTransactions class = "transactions" // what waits for a block
	classBlocks       class = "blocks"       // blocks of before, and how far somebody is
	classEvidence     class = "evidence"     // of misbehaviour
	classSnapshots    class = "snapshots"    // parts of the application's state
)

// Length limits of messages, in bytes, which the gate's own may lower.
const (
	maxVote     = 64 << 10  // the largest tells of 256 validators or of 256 parts of a block
	maxProposal = 128 << 10 // a part of a block is 64 KiB, with a proof
	maxOther    = 4 << 20
	maxWhole    = 1 << 31 // of what holds a block or a transaction: what the gate allows
)

// channels are CometBFT's channels by their numbers.
var channels = map[byte]struct {
	class class
	limit uint64
}{
	0x20: {classVotes, maxVote},
	0x21: {classProposals, maxProposal},
	0x22: {classVotes, maxVote},
	0x23: {classVotes, maxVote},
	0x30: {classTransactions, maxWhole},
	0x38: {classEvidence, maxOther},
	0x40: {classBlocks, maxWhole},
	0x60: {classSnapshots, maxOther},
	0x61: {classSnapshots, maxWhole},
}

// classes are all classes.
var classes = []class{classVotes, classProposals, classTransactions, classBlocks, classEvidence, classSnapshots}

// number returns the number of a channel that has a class, by CometBFT's protocol id.
func number(p protocol.ID) (byte, bool) {
	hex, ok := strings.CutPrefix(string(channel(p)), "0x")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 8)
	if err != nil {
		return 0, false
	}
	_, ok = channels[byte(n)]
	return byte(n), ok
}

// On a stream of a class come the instance of the sender, and then frames: the channel's number, the length of what follows as four bytes, big-endian, and a message as CometBFT writes it, with its own length before it.
const frameHeader = 1 + 4

func appendFrameHeader(b []byte, channel byte, size int) []byte {
	return binary.BigEndian.AppendUint32(append(b, channel), uint32(size))
}

// parseFrameHeader reads a header on a stream of a class. An error, fault.Invalid, is the sender's fault. The limit is the gate's for any message.
func parseFrameHeader(b *[frameHeader]byte, c class, limit uint64) (channel byte, size int, err error) {
	known, ok := channels[b[0]]
	if !ok || known.class != c {
		return 0, 0, fault.New(fault.Invalid, "a message of channel %#02x among %s", b[0], c)
	}
	n := uint64(binary.BigEndian.Uint32(b[1:]))
	if n == 0 || n > min(known.limit, limit)+binary.MaxVarintLen64 {
		return 0, 0, fault.New(fault.Invalid, "a message of %d bytes in channel %#02x", n, b[0])
	}
	return b[0], int(n), nil
}

// tooLong is the error for a message of this node's own that nobody would take.
func tooLong(channel byte, size int) error {
	return fmt.Errorf("%w: %d bytes in channel %#02x", errTooLarge, size, channel)
}
