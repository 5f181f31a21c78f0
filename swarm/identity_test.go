package swarm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

func TestIdentityRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.key")
	made, err := CreateIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadIdentity(path)
	if err != nil || !made.Equals(loaded) {
		t.Fatalf("loaded another key: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %s, %v; want 0600", info.Mode(), err)
	}
	id, _ := peer.IDFromPrivateKey(made)
	data, _ := os.ReadFile(path)
	if !bytes.Contains(data, []byte(id.String())) {
		t.Errorf("the file does not name %s:\n%s", id, data)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("%d files are left behind", len(entries)-1)
	}
}

func TestCreateIdentityNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.key")
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := CreateIdentity(path)
			switch {
			case err == nil:
				made.Add(1)
			case fault.KindOf(err) != fault.Conflict || !errors.Is(err, fs.ErrExist):
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d were made, want 1", made.Load())
	}
	if _, err := LoadIdentity(path); err != nil {
		t.Error(err)
	}
	if _, err := CreateIdentity(filepath.Join(path, "below", "a", "file")); err == nil {
		t.Error("made where no directory is")
	}
}

// A volume of a Kubernetes pod with fsGroup belongs to a group, with all that is on it. Elsewhere a private file is private.
func TestIdentityOnAVolumeOfAGroup(t *testing.T) {
	for _, c := range []struct {
		folder, file os.FileMode
		taken        bool
	}{
		{0o700, 0o600, true}, {0o2770, 0o660, true}, {0o2770, 0o640, true}, {0o770, 0o660, true},
		{0o700, 0o640, false}, {0o750, 0o640, false}, {0o755, 0o660, false}, {0o2770, 0o664, false}, {0o777, 0o604, false}, {0o777, 0o666, false},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "identity")
		if _, err := CreateIdentity(path); err != nil {
			t.Fatal(err)
		}
		mode := c.folder & os.ModePerm
		if c.folder&0o2000 != 0 {
			mode |= os.ModeSetgid
		}
		if err := errors.Join(os.Chmod(path, c.file), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(path); (err == nil) != c.taken {
			t.Errorf("file %04o in folder %04o: %v", c.file, c.folder, err)
		}
	}
}

func TestLoadIdentityRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, "good")
	if _, err := CreateIdentity(good); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateIdentity(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(data, []byte("-----BEGIN"))
	head, _, _ := bytes.Cut(other, []byte("-----BEGIN"))
	wrongType, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(wrongType)
	if err != nil {
		t.Fatal(err)
	}

	file := func(content []byte, mode os.FileMode) func(string) error {
		return func(path string) error {
			if err := os.WriteFile(path, content, mode); err != nil {
				return err
			}
			return os.Chmod(path, mode)
		}
	}
	for name, c := range map[string]struct {
		make func(path string) error
		kind fault.Kind
		want string
	}{
		"absent":            {func(string) error { return nil }, fault.NotFound, "does not exist"},
		"empty":             {file(nil, 0o600), fault.Invalid, "damaged"},
		"cut short":         {file(data[:len(data)-1], 0o600), fault.Invalid, "damaged"},
		"longer":            {file(append(bytes.Clone(data), '\n'), 0o600), fault.Invalid, "damaged"},
		"not named":         {file(append([]byte("-----BEGIN"), body...), 0o600), fault.Invalid, "damaged"},
		"another's name":    {file(append(append(head, "-----BEGIN"...), body...), 0o600), fault.Invalid, "damaged"},
		"other kind of key": {file(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), 0o600), fault.Invalid, "damaged"},
		"too large":         {file(append(bytes.Clone(data), make([]byte, maxIdentityFile)...), 0o600), fault.Invalid, "damaged"},
		"group reads":       {file(data, 0o640), fault.Invalid, "chmod 600"},
		"others read":       {file(data, 0o604), fault.Invalid, "chmod 600"},
		"others write":      {file(data, 0o602), fault.Invalid, "chmod 600"},
		"a directory":       {func(p string) error { return os.Mkdir(p, 0o700) }, fault.Invalid, "not a regular file"},
		"a device":          {func(p string) error { return os.Symlink(os.DevNull, p) }, fault.Invalid, "not a regular file"},
	} {
		path := filepath.Join(dir, "case "+name)
		if err := c.make(path); err != nil {
			t.Fatal(err)
		}
		_, err := LoadIdentity(path)
		if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v of kind %s, want %q of kind %s", name, err, fault.KindOf(err), c.want, c.kind)
		}
	}
}

// One changed bit anywhere is noticed, and no error text gives the key away.
func TestDamagedIdentityIsNoticed(t *testing.T) {
	data, err := encodeIdentity(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := bytes.Cut(data, []byte("-----\n"))
	secret, _, _ = bytes.Cut(secret, []byte("\n"))
	for i := range data {
		for bit := range 8 {
			damaged := bytes.Clone(data)
			damaged[i] ^= 1 << bit
			if _, err := decodeIdentity(damaged); err == nil {
				t.Fatalf("bit %d of byte %d changed, and it was accepted", bit, i)
			} else if strings.Contains(err.Error(), string(secret[20:])) {
				t.Fatal("the error quotes the key")
			}
		}
	}
}

func FuzzDecodeIdentity(f *testing.F) {
	data, err := encodeIdentity(newKey(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[len(identityComment):])
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := decodeIdentity(data)
		if err != nil {
			return
		}
		again, err := encodeIdentity(key)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q was accepted and is written as %q, %v", data, again, err)
		}
	})
}
