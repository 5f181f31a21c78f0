package recordbench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// rangeResponse is a RangeResponse as etcd makes it: a header, a record, and the count.
func rangeResponse(value []byte) []byte {
	kv := appendBytes(nil, fieldKey, []byte("key"))
	kv = protowire.AppendVarint(protowire.AppendTag(kv, 2, protowire.VarintType), 7)
	if len(value) > 0 {
		kv = appendBytes(kv, fieldKVValue, value)
	}
	b := appendBytes(nil, 1, []byte{8, 1})
	b = appendBytes(b, fieldKVs, kv)
	return protowire.AppendVarint(protowire.AppendTag(b, 4, protowire.VarintType), 1)
}

func TestParseRangeResponse(t *testing.T) {
	for _, want := range []string{"value", ""} {
		if got, err := parseRangeResponse(rangeResponse([]byte(want))); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if _, err := parseRangeResponse(appendBytes(nil, 1, []byte{8, 1})); !errors.Is(err, errNoValue) {
		t.Errorf("no record: got %v", err)
	}
	if _, err := parseRangeResponse(rangeResponse([]byte("value"))[:8]); err == nil {
		t.Error("half a response was taken")
	}
}

func TestCallStatus(t *testing.T) {
	for _, tt := range []struct {
		header, trailer http.Header
		want            string // empty: no error
	}{
		{trailer: http.Header{"Grpc-Status": {"0"}}},
		{trailer: http.Header{"Grpc-Status": {"14"}, "Grpc-Message": {"no leader"}}, want: "status 14: no leader"},
		{header: http.Header{"Grpc-Status": {"12"}}, want: "status 12"},
		{want: "none of gRPC"},
	} {
		err := statusOf(&http.Response{Status: "200 OK", Header: tt.header, Trailer: tt.trailer})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, %v: got %v, want %q", tt.header, tt.trailer, err, tt.want)
		}
	}
}

// FuzzEtcdResponse checks that a response is taken apart within its bounds, and that a message that is accepted frames to the same bytes again.
func FuzzEtcdResponse(f *testing.F) {
	frame := func(message []byte) []byte {
		b := make([]byte, grpcPrefix)
		binary.BigEndian.PutUint32(b[1:], uint32(len(message)))
		return append(b, message...)
	}
	f.Add(frame(rangeResponse([]byte("value"))))
	f.Add(frame(nil))
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		message, err := parseMessage(b)
		if err != nil {
			return
		}
		if !bytes.Equal(frame(message), b) {
			t.Errorf("%x: a message of %x", b, message)
		}
		if value, err := parseRangeResponse(message); err == nil && len(value) > len(message) {
			t.Errorf("%x: %d bytes of value in %d", b, len(value), len(message))
		}
	})
}
