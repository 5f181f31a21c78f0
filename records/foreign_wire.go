package records

import (
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// foreignProtocolName, with the network's id, is the id of the protocol in which members ask one another for what foreign peers put. It is apart from that of the records,
// so that neither holds the other up.
const foreignProtocolName = "foreign/1"

const (
	// maxForeignMessage bounds requests and responses, in bytes.
	maxForeignMessage = MaxForeignKey + MaxForeignValue + 1024
	// maxForeignProviders bounds the providers in a response; as many as fit are sent.
	maxForeignProviders = 128
	// maxForeignInFlight bounds the requests of one member that are served at once.
	maxForeignInFlight = 16
)

// A foreignOp says what a request asks for.
type foreignOp uint8

const (
	foreignGet foreignOp = 1 + iota
	foreignGetProviders
)

// A foreignRequest is op uint8, hash[32] of the key as it is on the wire of foreign peers.
//
// The response to foreignGet is the value as package disk encodes it, or nothing; to foreignGetProviders it is the providers, one after the other.
type foreignRequest struct {
	op   foreignOp
	hash disk.Hash
}

var errForeignMessage = fault.New(fault.Invalid, "malformed message about foreign peers")

func (r *foreignRequest) marshal() []byte { return append([]byte{byte(r.op)}, r.hash[:]...) }

func unmarshalForeignRequest(data []byte) (foreignRequest, error) {
	var r foreignRequest
	s := cryptobyte.String(data)
	if !s.ReadUint8((*uint8)(&r.op)) || r.op < foreignGet || r.op > foreignGetProviders || !s.CopyBytes(r.hash[:]) || !s.Empty() {
		return foreignRequest{}, errForeignMessage
	}
	return r, nil
}

// marshalForeignProviders writes as many providers as fit.
func marshalForeignProviders(providers []disk.ForeignProvider) []byte {
	var b []byte
	for i := range providers {
		with := providers[i].Append(b)
		if i == maxForeignProviders || len(with) > maxForeignMessage {
			break
		}
		b = with
	}
	return b
}

func unmarshalForeignProviders(data []byte) ([]disk.ForeignProvider, error) {
	if len(data) > maxForeignMessage {
		return nil, errForeignMessage
	}
	var providers []disk.ForeignProvider
	for s := cryptobyte.String(data); !s.Empty(); {
		p, ok := disk.ReadForeignProvider(&s)
		if !ok || len(providers) == maxForeignProviders {
			return nil, errForeignMessage
		}
		providers = append(providers, p)
	}
	return providers, nil
}
