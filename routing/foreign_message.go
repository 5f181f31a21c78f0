package routing

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	// maxForeignRequest bounds requests, in bytes: a value of a foreign peer with its key, twice, and what is around it.
	maxForeignRequest = 72 << 10
	// maxForeignFields bounds the fields of a request, maxForeignPeerFields those of a peer in it, before they are decoded: a field of two bytes
	// takes a hundred in memory.
	maxForeignFields     = 32
	maxForeignPeerFields = 96
	// Numbers of the fields that hold peers.
	closerPeersField   = 8
	providerPeersField = 9
)

var errForeignMessage = errors.New("malformed Kademlia message")

// readForeign reads a request after its length. io.EOF says that the stream ended before it.
func readForeign(r *bufio.Reader) (*pb.Message, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	size, err := binary.ReadUvarint(r)
	if err != nil || size > maxForeignRequest {
		return nil, errForeignMessage
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, errForeignMessage
	}
	return unmarshalForeign(data)
}

// unmarshalForeign decodes a request whose fields are few enough.
func unmarshalForeign(data []byte) (*pb.Message, error) {
	if len(data) > maxForeignRequest || !fewFields(data, maxForeignFields, func(n protowire.Number, value []byte) bool {
		return n != closerPeersField && n != providerPeersField || fewFields(value, maxForeignPeerFields, nil)
	}) {
		return nil, errForeignMessage
	}
	req := new(pb.Message)
	if err := proto.Unmarshal(data, req); err != nil {
		return nil, errForeignMessage
	}
	return req, nil
}

// fewFields reports whether data is a sequence of at most limit fields, and whether all of bytes satisfy check.
func fewFields(data []byte, limit int, check func(n protowire.Number, value []byte) bool) bool {
	for range limit {
		if len(data) == 0 {
			return true
		}
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return false
		}
		size := protowire.ConsumeFieldValue(number, kind, data[n:])
		if size < 0 {
			return false
		}
		if kind == protowire.BytesType && check != nil {
			value, _ := protowire.ConsumeBytes(data[n:])
			if !check(number, value) {
				return false
			}
		}
		data = data[n+size:]
	}
	return len(data) == 0
}

// writeForeign writes a response after its length, in one piece.
func writeForeign(w io.Writer, m *pb.Message) error {
	size := proto.Size(m)
	data := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen32+size), uint64(size))
	data, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(data, m)
	if err != nil {
		return fmt.Errorf("encode a response: %w", err)
	}
	_, err = w.Write(data)
	return err
}
