package swarm

import (
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/folkmoot/folkmoot/fault"
)

func TestOpenNetworkNames(t *testing.T) {
	for _, good := range []string{"a", "7", "demo", "My.Net_work-2", strings.Repeat("x", MaxNetworkName)} {
		if _, err := OpenNetwork(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "-a", "a-", ".", "a b", "a/b", "ä", "a\n", strings.Repeat("x", MaxNetworkName+1)} {
		if _, err := OpenNetwork(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

// The id of a network must never change: peers of two releases would no longer find one another.
func TestNetworkIDIsStable(t *testing.T) {
	id, err := OpenNetwork("demo")
	if err != nil {
		t.Fatal(err)
	}
	const want = "cgu7ngy2ikndohr4solw43xbbqmhrk52kibhutmf6rnfvri54pza"
	if id.String() != want {
		t.Errorf("id %s, want %s", id, want)
	}
	for what, c := range map[string][2]string{
		"protocol": {string(id.Protocol("records/1")), "/folkmoot/" + want + "/records/1"},
		"domain":   {id.SigningDomain("record"), "folkmoot/" + want + "/record"},
		"service":  {id.MDNSService(), "_" + want + "._udp"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s %q, want %q", what, c[0], c[1])
		}
	}
	if len(want) > 62 { // with the underscore it is a DNS label
		t.Errorf("%d characters", len(want))
	}
}

func TestNetworksDiffer(t *testing.T) {
	seen := make(map[NetworkID]string)
	for _, name := range []string{"a", "A", "b", "a.a", "aa"} {
		id, err := OpenNetwork(name)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q are one network", name, other)
		}
		seen[id] = name
	}
}

func TestParseNetworkID(t *testing.T) {
	id := testNetwork(t)
	for _, text := range []string{id.String(), strings.ToUpper(id.String())} {
		if got, err := ParseNetworkID(text); err != nil || got != id {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "a", id.String()[1:], id.String() + "a", id.String()[:51] + "1", id.String()[:51] + "=", id.String() + "\n"} {
		if _, err := ParseNetworkID(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

func FuzzParseNetworkID(f *testing.F) {
	f.Add(testNetwork(f).String())
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseNetworkID(text)
		if err == nil && id.String() != strings.ToLower(text) {
			t.Fatalf("%q was read as %s", text, id)
		}
	})
}

func TestOpenGateAdmitsEverybody(t *testing.T) {
	for _, dir := range []network.Direction{network.DirInbound, network.DirOutbound} {
		if err := (OpenGate{}).AdmitPeer("anybody", nil, dir); err != nil {
			t.Error(err)
		}
	}
}
