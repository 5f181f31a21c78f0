package gate

import (
	"encoding/binary"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// gapTime is how long a message waits for those that were sent before it, where a lane does not say otherwise.
const gapTime = 500 * time.Millisecond

// headerSize is the length of what precedes each message: the epoch of the sender's session and the message's number in its channel, four bytes each.
const headerSize = 8

// ordered are the channels whose messages arrive in the order in which they were sent. Each message has a stream of its own, and streams overtake one
// another: a part of a block that arrives before its proposal is thrown away and not sent again, which costs a round.
var ordered = map[protocol.ID]bool{
	"0x20": true, "0x21": true, "0x22": true, "0x23": true, // consensus: state, data, votes, sets of votes
	"0x30": true, // transactions
}

// lane keeps the order of one peer's messages in one channel.
type lane struct {
	gap time.Duration // how long a message waits for those before it

	mu      sync.Mutex
	epoch   uint32                   // guarded by mu
	next    uint32                   // the number that is due, guarded by mu
	waiting map[uint32]chan struct{} // closed when their number is due, guarded by mu
}

// await returns when message number n is due, or has waited long enough.
func (l *lane) await(epoch, n uint32) {
	l.mu.Lock()
	if l.epoch != epoch { // a new session, whose messages are counted from 1
		for _, due := range l.waiting {
			close(due)
		}
		l.epoch, l.next, l.waiting = epoch, 1, make(map[uint32]chan struct{})
	}
	if n <= l.next || l.waiting[n] != nil {
		l.mu.Unlock()
		return
	}
	due := make(chan struct{})
	l.waiting[n] = due
	l.mu.Unlock()
	timer := time.NewTimer(l.gap)
	defer timer.Stop()
	select {
	case <-due:
	case <-timer.C:
	}
}

// passed says that message number n has been handed over, and that nobody need wait for those before it any more.
func (l *lane) passed(epoch, n uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoch != epoch || n < l.next {
		return
	}
	l.next = n + 1
	for waits, due := range l.waiting {
		if waits <= l.next {
			close(due)
			delete(l.waiting, waits)
		}
	}
}

// readHeader reads what precedes a message.
func readHeader(s network.Stream) (epoch, n uint32, err error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(s, b[:]); err != nil {
		return 0, 0, err
	}
	return binary.BigEndian.Uint32(b[:4]), binary.BigEndian.Uint32(b[4:]), nil
}

// header returns what precedes a message.
func header(epoch, n uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(make([]byte, 0, headerSize), epoch), n)
}
