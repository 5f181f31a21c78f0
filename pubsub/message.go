package pubsub

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Message is what somebody published.
type Message struct {
	// ID tells the message from all others.
	ID     string
	Topic  string
	Author peer.ID
	// Published is when the author says it was, in its own time.
	Published time.Time
	Data      []byte
	// Missed is how many messages before this one were dropped because the subscriber did not take them in time.
	Missed uint64
}

// A message's data on the wire; gossipsub adds topic, author and signature.
//
//	uint8   version, 1
//	uint64  when it was published, in Unix milliseconds, big-endian
//	bytes   what was published, up to MaxMessage
const (
	messageVersion = 1
	messageHeader  = 1 + 8
)

var errMalformed = errors.New("malformed message")

func encodeMessage(published time.Time, data []byte) []byte {
	b := make([]byte, 0, messageHeader+len(data))
	b = append(b, messageVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(published.UnixMilli()))
	return append(b, data...)
}

// decodeMessage reads what encodeMessage wrote; data is not copied.
func decodeMessage(raw []byte) (published time.Time, data []byte, err error) {
	if len(raw) < messageHeader || len(raw) > messageHeader+MaxMessage || raw[0] != messageVersion {
		return time.Time{}, nil, errMalformed
	}
	ms := binary.BigEndian.Uint64(raw[1:])
	if ms > 1<<53 {
		return time.Time{}, nil, errMalformed
	}
	return time.UnixMilli(int64(ms)), raw[messageHeader:], nil
}
