package admission

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func testLine(addrs ...string) *Line {
	l := &Line{Network: ledger.Hash{1, 2}, Secret: Secret{3, 4}, Role: RoleValidator}
	for _, a := range addrs {
		l.Addrs = append(l.Addrs, ma.StringCast(a+samplePeer))
	}
	return l
}

func TestLines(t *testing.T) {
	l := testLine("/ip4/192.0.2.7/tcp/4242", "/dns4/moot.example.org/udp/4242/quic-v1")
	text := l.String()
	if strings.ContainsAny(text, " \n\t'\"\\$") || len(text) > 500 {
		t.Errorf("a line of %d characters: %s", len(text), text)
	}
	for _, given := range []string{text, " " + text + "\n"} {
		got, err := ParseLine(given)
		if err != nil || got.String() != text || got.Network != l.Network || got.Secret != l.Secret || got.Role != l.Role || len(got.Addrs) != 2 {
			t.Fatalf("%q is %+v, %v", given, got, err)
		}
	}
}

// Whatever is mistyped, left out or changed of a line is found, and the error does not tell the secret.
func TestDamagedLines(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	text := testLine("/ip4/192.0.2.7/tcp/4242").String()
	secret := base64.RawURLEncoding.EncodeToString(testLine().Secret[:])
	for range 2000 {
		wrong := []byte(text)
		switch rng.IntN(3) {
		case 0:
			i := rng.IntN(len(wrong))
			if c := "ABCDwxyz0189-_."[rng.IntN(15)]; wrong[i] != c {
				wrong[i] = c
			} else {
				continue
			}
		case 1:
			wrong = wrong[:rng.IntN(len(wrong))]
		default:
			i := rng.IntN(len(wrong))
			wrong = append(wrong[:i:i], wrong[min(i+1, len(wrong)):]...)
		}
		if l, err := ParseLine(string(wrong)); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Fatalf("%s is %+v, %v", wrong, l, err)
		} else if strings.Contains(err.Error(), secret[:8]) {
			t.Fatalf("the error tells the secret: %v", err)
		}
	}
	for _, empty := range []string{"", "moot-invite-1.", "hello", strings.Repeat("x", MaxLine+1), "moot-invite-1." + strings.Repeat("A", MaxLine)} {
		if _, err := ParseLine(empty); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%.20q: %v", empty, err)
		}
	}
}

func TestKeysOfInvites(t *testing.T) {
	s, err := NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	one, other := s.Key(ledger.Hash{1}), s.Key(ledger.Hash{2})
	if one.Equal(other) || !one.Equal(s.Key(ledger.Hash{1})) || string(one.Seed()) == string(s[:]) {
		t.Error("the key of an invite is not of its secret and network alone")
	}
}

func TestRoles(t *testing.T) {
	for _, name := range RoleNames() {
		if r, err := ParseRole(name); err != nil || r.String() != name {
			t.Errorf("%s is %v, %v", name, r, err)
		}
	}
	if _, err := ParseRole("king"); fault.KindOf(err) != fault.Invalid || err == nil {
		t.Errorf("king: %v", err)
	}
}

func FuzzLine(f *testing.F) {
	f.Add(testLine("/ip4/192.0.2.7/tcp/4242").String())
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLine(text)
		if err == nil && l.String() != strings.TrimSpace(text) {
			t.Errorf("%q is %q", text, l)
		}
	})
}

// FuzzLineBody has the checksum right, which the fuzzer would not find.
func FuzzLineBody(f *testing.F) {
	data, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(testLine("/ip4/192.0.2.7/tcp/4242").String(), linePrefix))
	f.Add(data[:len(data)-checksumSize])
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := parseLine(body)
		if err != nil {
			return
		}
		if again, err := ParseLine(l.String()); err != nil || again.String() != l.String() {
			t.Errorf("%x is %v, %v", body, again, err)
		}
	})
}
