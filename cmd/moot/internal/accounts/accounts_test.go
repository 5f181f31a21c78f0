package accounts

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "Ann", "a-b_9", "moot", "moot2", strings.Repeat("x", MaxName)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", MaxName+1), "a b", "a/b", "..", "a.key", "ä", "a\x00", "-a", "moot1", "MOOT1x", "EUR@x"} {
		if err := CheckName(name); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// reversed is an encryption for tests.
func reversed(data []byte) ([]byte, error) {
	data = bytes.Clone(data)
	slices.Reverse(data)
	return data, nil
}

func TestKeys(t *testing.T) {
	f := Folder(filepath.Join(t.TempDir(), "accounts"))
	if list, err := f.List(); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	ann, err := f.Create("ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	vault, err := f.Create("vault", reversed)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := f.List(); err != nil || !slices.Equal(list, []Own{ann, vault}) || ann.Sealed || !vault.Sealed {
		t.Errorf("%v, %v", list, err)
	}
	for _, own := range []Own{ann, vault} {
		key, err := f.Open(own.Name, reversed)
		if err != nil || PublicKey(key) != own.Key {
			t.Errorf("%s: %v", own.Name, err)
		}
		for _, seal := range []func([]byte) ([]byte, error){nil, reversed} {
			if _, err := f.Create(own.Name, seal); fault.KindOf(err) != fault.Conflict {
				t.Errorf("%s again: %v", own.Name, err)
			}
		}
		if id, err := f.Account(own.Name); err != nil || id != own.ID() {
			t.Errorf("%s: %v, %v", own.Name, id, err)
		}
	}
	if _, err := f.Open("nobody", nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("nobody: %v", err)
	}
	if _, err := f.Open("vault", func([]byte) ([]byte, error) { return nil, errors.New("no") }); err == nil {
		t.Error("opened without a passphrase")
	}
}

// The public part of a sealed key is found anew, and is never believed against the key.
func TestPublicPart(t *testing.T) {
	f := Folder(t.TempDir())
	vault, err := f.Create("vault", reversed)
	if err != nil {
		t.Fatal(err)
	}
	path := f.path("vault", publicSuffix)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if own, err := f.Own("vault"); fault.KindOf(err) != fault.NotFound || own.Name != "vault" {
		t.Errorf("%v, %v", own, err)
	}
	if _, err := f.Open("vault", reversed); err != nil {
		t.Fatal(err)
	}
	if own, err := f.Own("vault"); err != nil || own != vault {
		t.Errorf("%v, %v", own, err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("ab", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open("vault", reversed); fault.KindOf(err) != fault.Conflict {
		t.Errorf("another public key: %v", err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open("vault", reversed); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no public key: %v", err)
	}
	if err := os.WriteFile(f.path("vault", keySuffix), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Own("vault"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("two keys of one name: %v", err)
	}
}

func TestBookOfNames(t *testing.T) {
	f := Folder(t.TempDir())
	ann, err := f.Create("ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	bob := ledger.AccountID{1}
	euro := ledger.AssetID{Code: "EUR", Issuer: bob}
	for name, target := range map[string]string{"bob": bob.String(), "EUR": euro.String(), "robert": bob.String()} {
		if err := errors.Join(f.Add(name, target), f.Add(name, target)); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"ann": bob.String(), "bob": ann.ID().String()} {
		if err := f.Add(name, target); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, target := range []string{"", "ann", "EUR", "EUR@bob", strings.ToUpper(bob.String())} {
		if err := f.Add("x", target); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", target, err)
		}
	}
	for text, want := range map[string]ledger.AssetID{"EUR": euro, "EUR@bob": euro, "EUR@" + bob.String(): euro, "X@ann": {Code: "X", Issuer: ann.ID()}} {
		if got, err := f.Asset(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]fault.Kind{"GOLD": fault.NotFound, "bob": fault.Invalid, "eur": fault.NotFound, "EUR@nobody": fault.NotFound, "EUR@EUR": fault.Invalid, "eur@bob": fault.Invalid, "@": fault.Invalid, "": fault.Invalid} {
		if got, err := f.Asset(text); err == nil || fault.KindOf(err) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	names, err := f.Namer()
	if err != nil || names(ann.ID()) != "ann" || names(bob) != "bob" || names(ledger.AccountID{2}) != "" {
		t.Errorf("%q, %q, %v", names(ann.ID()), names(bob), err)
	}
	if err := f.Remove("bob"); err != nil {
		t.Error(err)
	}
	if err := f.Remove("bob"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("removed twice: %v", err)
	}
	if id, err := f.Account("robert"); err != nil || id != bob {
		t.Errorf("%v, %v", id, err)
	}
}

func testKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// FuzzKey: what is read is written, and read, the same.
func FuzzKey(f *testing.F) {
	data, err := EncodeKey(testKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(bytes.Repeat([]byte("#"), 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParseKey(data)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%v is of kind %v", err, fault.KindOf(err))
			}
			return
		}
		again, err := EncodeKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := ParseKey(again); err != nil || !same.Equal(key) {
			t.Errorf("%v", err)
		}
	})
}

// FuzzBook: what is read is written, and read, the same.
func FuzzBook(f *testing.F) {
	data, err := Book{"bob": ledger.AccountID{1}.String(), "EUR": ledger.AssetID{Code: "EUR"}.String()}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		book, err := ParseBook(data)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Errorf("%v is of kind %v", err, k)
			}
			return
		}
		again, err := book.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if same, err := ParseBook(again); err != nil || len(same) != len(book) {
			t.Errorf("%s became %s: %v", data, again, err)
		}
	})
}

func TestKeyFilesThatAreNone(t *testing.T) {
	good, err := EncodeKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	_, bare, _ := bytes.Cut(good, []byte("\n"))
	if _, err := ParseKey(bare); err != nil {
		t.Errorf("without its comment: %v", err)
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "twice": append(bytes.Clone(good), good...), "text before": append([]byte("x\n"), good...), "another type": bytes.ReplaceAll(good, []byte(pemType), []byte("PUBLIC KEY")),
		"cut": good[:len(good)-10], "large": bytes.Repeat([]byte("#"), maxKeyFile+1),
	} {
		if _, err := ParseKey(data); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
