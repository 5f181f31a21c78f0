package records

import (
	"context"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

const signedWirePrefix = "/" + SignedNamespace + "/"

// signedKeyOf returns the key of the signed record that foreign peers read under a key on the wire.
func signedKeyOf(wire []byte) (text string, ok bool) {
	return strings.CutPrefix(string(wire), signedWirePrefix)
}

// signedValue reads a record as any user of this node does, and returns the envelope that proves it.
func (f *Foreign) signedValue(ctx context.Context, text string) (routing.ForeignValue, error) {
	if _, err := ParseKey(text); err != nil {
		return routing.ForeignValue{}, fault.As(fault.NotFound, err) // there can be none
	}
	r, err := f.s.Get(ctx, text, GetOptions{})
	if err != nil {
		return routing.ForeignValue{}, err
	}
	return routing.ForeignValue{Value: r.envelope, Received: r.Version.Time.Time()}, nil
}

// Validator checks the signed records of a network on the side of a foreign Kademlia peer. It is a Validator of go-libp2p-record, for the namespace
// SignedNamespace:
//
//	dht.New(host, dht.ProtocolPrefix(...), dht.NamespacedValidator(records.SignedNamespace, records.NewValidator(network)))
//
// A value is the record's signed envelope; Open takes it apart.
type Validator struct {
	records *recordSigner
	now     func() time.Time
}

// NewValidator returns a Validator for the records of a network.
func NewValidator(network swarm.NetworkID) *Validator {
	return &Validator{newRecordSigner(network), time.Now}
}

// Open returns the record in an envelope once its form, its signature and the rules of its key have been checked. Errors are of kind fault.Invalid,
// fault.TooLarge or fault.Forbidden.
func (v *Validator) Open(value []byte) (Record, error) {
	rec, err := v.records.open(value, false)
	if err != nil {
		return Record{}, err
	}
	return rec.record(), nil
}

// Validate returns nil when value proves the record that is read under key, and the record lives.
func (v *Validator) Validate(key string, value []byte) error {
	text, ok := strings.CutPrefix(key, signedWirePrefix)
	if !ok {
		return fault.New(fault.Invalid, "key %q: want %sKEY", key, signedWirePrefix)
	}
	r, err := v.Open(value)
	switch {
	case err != nil:
		return err
	case r.Key != text:
		return fault.New(fault.Invalid, "key %q: the value is the record %q", key, r.Key)
	case r.Deleted:
		return fault.New(fault.NotFound, "key %q: the record was deleted", key)
	case !r.Expires.IsZero() && !r.Expires.After(v.now()):
		return fault.New(fault.NotFound, "key %q: the record expired on %s", key, r.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// Select returns the index of the newest record.
func (v *Validator) Select(key string, values [][]byte) (int, error) {
	best := -1
	var newest Version
	for i, value := range values {
		r, err := v.Open(value)
		if err == nil && (best < 0 || r.Version.Compare(newest) > 0) {
			best, newest = i, r.Version
		}
	}
	if best < 0 {
		return 0, fault.New(fault.Invalid, "key %q: none of %d values is a signed record", key, len(values))
	}
	return best, nil
}
