package ledger

import (
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

func TestAccountText(t *testing.T) {
	rng := testRand(t)
	for range 200 {
		id := AccountID(randomBytes(rng, 32))
		text := id.String()
		if len(text) >= maxAccountText {
			t.Fatalf("%s has %d characters", text, len(text))
		}
		for _, s := range []string{text, strings.ToUpper(text)} {
			if got, err := ParseAccountID(s); err != nil || got != id {
				t.Fatalf("%s is %v, %v", s, got, err)
			}
		}
		// A mistyped character is always found, and so are two that changed places.
		i := len("moot1") + rng.IntN(len(text)-len("moot1")-1)
		for _, c := range "qpzry9x8gf2tvdw0s3jn54khce6mua7l" {
			if wrong := text[:i] + string(c) + text[i+1:]; wrong != text {
				if _, err := ParseAccountID(wrong); fault.KindOf(err) != fault.Invalid {
					t.Fatalf("%s for %s: %v", wrong, text, err)
				}
			}
		}
		if swapped := text[:i] + text[i+1:i+2] + text[i:i+1] + text[i+2:]; swapped != text {
			if _, err := ParseAccountID(swapped); fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%s for %s: %v", swapped, text, err)
			}
		}
	}
}

func TestRefusedAccountText(t *testing.T) {
	good := AccountID{1}.String()
	for _, s := range []string{
		"", "moot1", "alice", good + "q", good[:len(good)-1], good[:len(good)-2] + strings.ToUpper(good[len(good)-2:]), strings.Repeat("q", 1000),
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "moot1" + strings.Repeat("q", 58),
	} {
		if _, err := ParseAccountID(s); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzAccountText(f *testing.F) {
	f.Add(AccountID{1}.String())
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseAccountID(text)
		if err == nil && !strings.EqualFold(id.String(), text) {
			t.Errorf("%q is %s", text, id)
		}
	})
}

func FuzzAssetText(f *testing.F) {
	f.Add(AssetID{"EUR", AccountID{1}}.String())
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseAssetID(text)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: %v is of kind %v", text, err, fault.KindOf(err))
			}
			return
		}
		if code, _, _ := strings.Cut(text, "@"); id.Code != code || !strings.EqualFold(id.String(), text) {
			t.Errorf("%q is %s", text, id)
		}
	})
}

func FuzzHashText(f *testing.F) {
	f.Add(Hash{1}.String())
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := ParseHash(text); err == nil && !strings.EqualFold(h.String(), text) {
			t.Errorf("%q is %s", text, h)
		}
	})
}

func TestAssetText(t *testing.T) {
	eur := AssetID{"EUR", AccountID{7}}
	if got, err := ParseAssetID(eur.String()); err != nil || got != eur {
		t.Errorf("%s is %v, %v", eur, got, err)
	}
	for _, s := range []string{"", "EUR", "@" + eur.Issuer.String(), "eur@" + eur.Issuer.String(), "ABCDEFGHIJKLM@" + eur.Issuer.String(), "EUR@alice", "E R@" + eur.Issuer.String()} {
		if _, err := ParseAssetID(s); err == nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestKeySets(t *testing.T) {
	rng := testRand(t)
	a := newTestAccount(rng, 2, 3)
	for name, change := range map[string]func(k *KeySet){
		"no keys":            func(k *KeySet) { k.Keys = nil },
		"threshold 0":        func(k *KeySet) { k.Threshold = 0 },
		"threshold too high": func(k *KeySet) { k.Threshold = 4 },
		"twice the same":     func(k *KeySet) { k.Keys[1] = k.Keys[0] },
		"wrong order":        func(k *KeySet) { k.Keys[0], k.Keys[1] = k.Keys[1], k.Keys[0] },
		"too many":           func(k *KeySet) { *k = newTestAccount(rng, 1, MaxKeys+1).keys },
	} {
		k := KeySet{a.keys.Threshold, append([]PublicKey(nil), a.keys.Keys...)}
		change(&k)
		if err := k.Validate(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := newTestAccount(rng, MaxKeys, MaxKeys).keys.Validate(); err != nil {
		t.Error(err)
	}
	other := KeySet{1, a.keys.Keys}
	if other.ID() == a.id || other.Equal(&a.keys) {
		t.Error("another threshold is the same account")
	}
}
