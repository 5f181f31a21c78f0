package recordbench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields used of etcd's messages (etcd v3 API, rpc.proto and kv.proto).
const (
	fieldKey        protowire.Number = 1 // of PutRequest and RangeRequest
	fieldValue      protowire.Number = 2 // of PutRequest
	fieldKVs        protowire.Number = 2 // of RangeResponse
	fieldKVValue    protowire.Number = 5 // of KeyValue
	grpcPrefix                       = 5 // a byte that says whether the message is compressed, and its length
	maxEtcdResponse                  = 4 << 20
)

var errNoValue = errors.New("etcd has no such key")

// etcdClient makes requests to one member of an etcd cluster: gRPC over one HTTP/2 connection without TLS (gRPC over HTTP/2, its protocol document). Of
// etcd's own client it has only what is measured; the own one would make this program larger by 6 MB.
type etcdClient struct {
	url    string
	client *http.Client
}

func newEtcdClient(url string) *etcdClient {
	transport := new(http.Transport)
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetUnencryptedHTTP2(true)
	return &etcdClient{url: url, client: &http.Client{Transport: transport}}
}

func (c *etcdClient) Close() { c.client.CloseIdleConnections() }

// Put stores a value; etcd answers once a majority of the members has it on disk.
func (c *etcdClient) Put(ctx context.Context, key string, value []byte) error {
	message := appendBytes(nil, fieldKey, []byte(key))
	_, err := c.call(ctx, "/etcdserverpb.KV/Put", appendBytes(message, fieldValue, value))
	return err
}

// Get reads a value. It is linearizable, as is etcd's default.
func (c *etcdClient) Get(ctx context.Context, key string) ([]byte, error) {
	response, err := c.call(ctx, "/etcdserverpb.KV/Range", appendBytes(nil, fieldKey, []byte(key)))
	if err != nil {
		return nil, err
	}
	return parseRangeResponse(response)
}

func appendBytes(b []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), value)
}

// call makes a unary call.
func (c *etcdClient) call(ctx context.Context, method string, message []byte) ([]byte, error) {
	body := make([]byte, grpcPrefix, grpcPrefix+len(message))
	binary.BigEndian.PutUint32(body[1:], uint32(len(message)))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+method, bytes.NewReader(append(body, message...)))
	if err != nil {
		return nil, err
	}
	request.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxEtcdResponse))
	if err != nil {
		return nil, err
	}
	if err := statusOf(response); err != nil {
		return nil, err
	}
	return parseMessage(answer)
}

// statusOf returns what the call's status says went wrong. It is in the trailer, or in the header when there is nothing else.
func statusOf(response *http.Response) error {
	const status, text = "Grpc-Status", "Grpc-Message"
	for _, fields := range []http.Header{response.Trailer, response.Header} {
		switch fields.Get(status) {
		case "":
		case "0":
			return nil
		default:
			return fmt.Errorf("etcd: status %s: %s", fields.Get(status), fields.Get(text))
		}
	}
	return fmt.Errorf("etcd: HTTP status %s, and none of gRPC", response.Status)
}

// parseMessage takes the one message out of a response.
func parseMessage(b []byte) ([]byte, error) {
	if len(b) < grpcPrefix || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-grpcPrefix) {
		return nil, fmt.Errorf("etcd: %d bytes that are not one uncompressed message", len(b))
	}
	return b[grpcPrefix:], nil
}

// parseRangeResponse returns the value of the first record.
func parseRangeResponse(b []byte) ([]byte, error) {
	kv, found, err := findBytes(b, fieldKVs)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNoValue
	}
	value, _, err := findBytes(kv, fieldKVValue) // absent when it is empty
	return value, err
}

// findBytes returns the first field of a message that has the given number and is bytes.
func findBytes(b []byte, field protowire.Number) (value []byte, found bool, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, false, protowire.ParseError(n)
		}
		b = b[n:]
		if number == field && kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(b)
			return value, n >= 0, protowire.ParseError(n)
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return nil, false, protowire.ParseError(n)
		}
		b = b[n:]
	}
	return nil, false, nil
}
