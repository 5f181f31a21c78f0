package main

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// checkKey returns a fault.Invalid or fault.TooLarge error when no record can have the key: there is no need to ask a node.
func checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.Invalid, "the key is empty; want 1 to %d bytes", v1.MaxKey)
	case len(key) > v1.MaxKey:
		return fault.New(fault.TooLarge, "the key has %d bytes; at most %d fit", len(key), v1.MaxKey)
	}
	return checkKeyText(key)
}

// checkPrefix is checkKey for the beginning of keys, which may be empty.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return checkKey(prefix)
}

func checkKeyText(key string) error {
	if !utf8.ValidString(key) {
		return fault.New(fault.Invalid, "key %q is not UTF-8", key)
	}
	if i := strings.IndexFunc(key, unicode.IsControl); i >= 0 {
		return fault.New(fault.Invalid, "key %q has a control character at byte %d", key, i)
	}
	return nil
}

// checkValue returns a fault.TooLarge error when no record can have the value.
func checkValue(value []byte) error {
	if len(value) > v1.MaxValue {
		return fault.New(fault.TooLarge, "the value has more than the %d bytes (1 MiB) that a record can hold", v1.MaxValue)
	}
	return nil
}

// checkTTL refuses times to live that make no sense; 0 means for ever.
func checkTTL(ttl time.Duration) error {
	if ttl < 0 {
		return fault.New(fault.Invalid, "option --ttl: %s is negative", ttl)
	}
	return nil
}

// checkPeerID returns a fault.Invalid error when id cannot be a peer id.
func checkPeerID(id string) error {
	if _, err := peer.Decode(id); err != nil {
		return advise(fault.New(fault.Invalid, "%s is not a peer id", quoteKey(id)), `it looks like 12D3KooW…; "moot peers" lists those known`)
	}
	return nil
}

// exampleAddr shows how a multiaddr of another peer is written.
const exampleAddr = "/ip4/192.0.2.7/tcp/4242"

// checkTarget returns a fault.Invalid error when target is neither a peer id nor a multiaddr.
func checkTarget(target string) error {
	if !strings.HasPrefix(target, "/") {
		return checkPeerID(target)
	}
	if _, err := ma.NewMultiaddr(target); err != nil {
		return advise(fault.New(fault.Invalid, "%s is not a multiaddr", quoteKey(target)), "write it like %s", exampleAddr)
	}
	return nil
}
