package routing

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"google.golang.org/protobuf/proto"
)

func marshalForeign(t testing.TB, m *pb.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func somePeers(n, addrs int) []*pb.Message_Peer {
	peers := make([]*pb.Message_Peer, n)
	for i := range peers {
		peers[i] = &pb.Message_Peer{Id: []byte{byte(i)}, Addrs: make([][]byte, addrs)}
	}
	return peers
}

func TestForeignMessageBounds(t *testing.T) {
	tests := []struct {
		name string
		m    *pb.Message
		ok   bool
	}{
		{"a value of the size limit", &pb.Message{Key: []byte("/v/k"), Record: &recpb.Record{Key: []byte("/v/k"), Value: make([]byte, 64<<10)}}, true},
		{"too large", &pb.Message{Key: make([]byte, maxForeignRequest)}, false},
		{"some peers", &pb.Message{Key: []byte("k"), ProviderPeers: somePeers(maxForeignFields-1, maxForeignPeerFields-1)}, true},
		{"too many peers", &pb.Message{Key: []byte("k"), ProviderPeers: somePeers(maxForeignFields, 0)}, false},
		{"too many closer peers", &pb.Message{Key: []byte("k"), CloserPeers: somePeers(maxForeignFields, 0)}, false},
		{"too many addresses", &pb.Message{Key: []byte("k"), ProviderPeers: somePeers(1, maxForeignPeerFields)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := writeForeign(&b, tt.m); err != nil {
				t.Fatal(err)
			}
			got, err := readForeign(bufio.NewReader(&b))
			if ok := err == nil; ok != tt.ok {
				t.Fatalf("read: %v, want it read: %v", err, tt.ok)
			}
			if tt.ok && !proto.Equal(got, tt.m) {
				t.Errorf("read %v, wrote %v", got, tt.m)
			}
		})
	}
}

// TestForeignLengthIsNotBelieved shows that a long length alone sets no memory aside.
func TestForeignLengthIsNotBelieved(t *testing.T) {
	for _, head := range []string{"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "\xff\xff\xff\xff\x0f", strings.Repeat("\xff", 20)} {
		if m, err := readForeign(bufio.NewReader(strings.NewReader(head))); err == nil {
			t.Errorf("%x was read as %v", head, m)
		}
	}
}

func FuzzForeignMessage(f *testing.F) {
	f.Add(marshalForeign(f, &pb.Message{Type: pb.Message_PUT_VALUE, Key: []byte("/v/k"), Record: &recpb.Record{Key: []byte("/v/k"), Value: []byte("v")}}))
	f.Add(marshalForeign(f, &pb.Message{Type: pb.Message_ADD_PROVIDER, Key: []byte("k"), ProviderPeers: somePeers(2, 2)}))
	f.Add([]byte{0x4a, 0x00, 0x4a, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := unmarshalForeign(data)
		if err != nil {
			return
		}
		if n := len(m.CloserPeers) + len(m.ProviderPeers); n > maxForeignFields {
			t.Errorf("%d peers", n)
		}
		for _, p := range append(m.CloserPeers, m.ProviderPeers...) {
			// What comes in several fields of one number is merged only where it is no list.
			if len(p.Addrs) > maxForeignPeerFields {
				t.Errorf("%d addresses", len(p.Addrs))
			}
		}
		var b bytes.Buffer
		if err := writeForeign(&b, m); err != nil {
			t.Fatal(err)
		}
		if b.Len() > maxForeignRequest {
			return // numbers can be written shorter than they were read, and longer
		}
		if again, err := readForeign(bufio.NewReader(&b)); err != nil || !proto.Equal(again, m) {
			t.Errorf("%v was written and read as %v, %v", m, again, err)
		}
	})
}
