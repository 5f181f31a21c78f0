package records

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

func TestParseKey(t *testing.T) {
	peer := randomPeer(newRNG(t)).String()
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte("value")))
	const fine = fault.Internal // no error
	for _, c := range []struct {
		key  string
		want fault.Kind
		text string // part of the error
	}{
		{"a", fine, ""},
		{"a//b/../c", fine, ""},
		{"/", fine, ""},
		{"schlüssel 鍵", fine, ""},
		{strings.Repeat("k", MaxKey), fine, ""},
		{"own", fine, ""},
		{"ownership/x", fine, ""},
		{"own/" + peer + "/name", fine, ""},
		{"own/" + peer + "/a/b", fine, ""},
		{"sha256/" + digest, fine, ""},
		{"kademlia/x", fine, ""},
		{"", fault.Invalid, "empty"},
		{strings.Repeat("k", MaxKey+1), fault.TooLarge, "1025 bytes"},
		{"a\x00b", fault.Invalid, "control character at byte 1"},
		{"a\u0085", fault.Invalid, "control"},
		{"\xc3\x28", fault.Invalid, "UTF-8"},
		{"own/", fault.Invalid, "not a peer id"},
		{"own/garbage/x", fault.Invalid, `"garbage" is not a peer id`},
		{"own/" + peer, fault.Invalid, "no name"},
		{"own/" + peer + "/", fault.Invalid, "no name"},
		{"sha256/", fault.Invalid, "64 lower-case hex digits"},
		{"sha256/XYZ", fault.Invalid, "64 lower-case hex digits"},
		{"sha256/" + strings.ToUpper(digest), fault.Invalid, "64 lower-case hex digits"},
		{"sha256/" + digest + "00", fault.Invalid, "64 lower-case hex digits"},
		{"sha256/" + digest + "/x", fault.Invalid, "64 lower-case hex digits"},
		{"kad/x", fault.Forbidden, "foreign Kademlia peers"},
		{"kad/", fault.Forbidden, "foreign Kademlia peers"},
	} {
		k, err := ParseKey(c.key)
		if fault.KindOf(err) != c.want || (err == nil) != (c.want == fine) || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("ParseKey(%.80q): %v (%s), want %s with %q", c.key, err, fault.KindOf(err), c.want, c.text)
		}
		if err == nil && k.String() != c.key {
			t.Errorf("ParseKey(%q) = %q", c.key, k)
		}
	}
}
