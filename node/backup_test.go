package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
)

// secret makes keys cheap to encrypt.
var secret = BackupOptions{Passphrase: "correct horse", Work: 2, Program: "test"}

func passphrase(text string) func() (string, error) {
	return func() (string, error) { return text, nil }
}

// nodeWithRecords makes a home whose node has written records and one deletion, and has stopped.
func nodeWithRecords(t *testing.T, count int) (home string) {
	t.Helper()
	home = t.TempDir()
	n, stop, ended := startNode(t, home)
	awaitSync(t, n)
	for i := range count {
		if _, err := n.Records().Put(t.Context(), fmt.Sprint("k", i), fmt.Appendf(nil, "value %d", i), records.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Records().Delete(t.Context(), "k0", records.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return home
}

// wantRecords checks that the node of home has what nodeWithRecords wrote.
func wantRecords(t *testing.T, home string, count int) {
	t.Helper()
	n, stop, ended := startNode(t, home)
	awaitSync(t, n)
	for i := range count {
		r, err := n.Records().Get(t.Context(), fmt.Sprint("k", i), records.GetOptions{})
		switch {
		case i == 0 && fault.KindOf(err) != fault.NotFound:
			t.Errorf("what was deleted: %q, %v", r.Value, err)
		case i > 0 && (err != nil || string(r.Value) != fmt.Sprint("value ", i)):
			t.Errorf("record %d: %q, %v", i, r.Value, err)
		}
	}
	if w, err := n.Records().Put(t.Context(), "k1", []byte("value 1"), records.PutOptions{}); err != nil {
		t.Errorf("a write over what was restored: %+v, %v", w, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestBackupAndRestore(t *testing.T) {
	const count = 30
	home := nodeWithRecords(t, count)
	before, err := ReadHome(home)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := Backup(t.Context(), home, &file, secret); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "restored")
	done, err := Restore(t.Context(), target, bytes.NewReader(file.Bytes()), RestoreOptions{Passphrase: passphrase("correct horse")})
	if err != nil || !done.SameIdentity || done.Home != before || done.Manifest.Records != count || done.Manifest.Program != "test" {
		t.Fatalf("%+v, %v", done, err)
	}
	wantRecords(t, target, count)

	// An empty folder will do; one with anything in it is not touched.
	empty := t.TempDir()
	done, err = Restore(t.Context(), empty, bytes.NewReader(file.Bytes()), RestoreOptions{NewIdentity: true})
	if err != nil || done.SameIdentity || done.Home.ID == before.ID || done.Home.NetworkID != before.NetworkID {
		t.Fatalf("%+v, %v", done, err)
	}
	wantRecords(t, empty, count)
	if _, err := Restore(t.Context(), target, bytes.NewReader(file.Bytes()), RestoreOptions{NewIdentity: true}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("restore over a node: %v", err)
	}
	if info, err := ReadHome(target); err != nil || info != before {
		t.Errorf("a restore that was refused left %+v, %v", info, err)
	}
}

func TestRestoreLeavesNothingBehind(t *testing.T) {
	home := nodeWithRecords(t, 5)
	var sealed, open bytes.Buffer
	if err := Backup(t.Context(), home, &sealed, secret); err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), home, &open, BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(open.Bytes(), []byte("PRIVATE KEY")) || bytes.Contains(sealed.Bytes(), []byte("PRIVATE KEY")) {
		t.Error("the key is in the backup as it is")
	}
	forged := bytes.Replace(open.Bytes(), []byte("value 3"), []byte("value 9"), 1)
	parent := t.TempDir()
	target := filepath.Join(parent, "home")
	for name, c := range map[string]struct {
		data []byte
		opts RestoreOptions
		want fault.Kind
	}{
		"no passphrase":      {sealed.Bytes(), RestoreOptions{}, fault.Forbidden},
		"another passphrase": {sealed.Bytes(), RestoreOptions{Passphrase: passphrase("battery staple")}, fault.Forbidden},
		"cut off":            {open.Bytes()[:open.Len()/2], RestoreOptions{}, fault.Invalid},
		"forged record":      {forged, RestoreOptions{}, fault.Invalid},
		"no backup":          {[]byte("nothing"), RestoreOptions{}, fault.Invalid},
	} {
		_, err := Restore(t.Context(), target, bytes.NewReader(c.data), c.opts)
		if left, _ := os.ReadDir(parent); fault.KindOf(err) != c.want || len(left) != 0 {
			t.Errorf("%s: %v; %d files left", name, err, len(left))
		}
	}
	if done, err := Restore(t.Context(), target, &open, RestoreOptions{}); err != nil || done.SameIdentity || done.Manifest.HasIdentity() {
		t.Errorf("without a key: %+v, %v", done, err)
	}
}

func TestBackupOfARunningNode(t *testing.T) {
	home := t.TempDir()
	n, _, _ := startNode(t, home)
	awaitSync(t, n)
	if _, err := n.Records().Put(t.Context(), "k", []byte("v"), records.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), home, &bytes.Buffer{}, BackupOptions{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a backup past the node that runs: %v", err)
	}
	var plain, whole bytes.Buffer
	if err := (backend{n}).Backup(t.Context(), &plain, api.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	keys, err := SealKeys(home, secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := AddKeys(&whole, bytes.NewReader(plain.Bytes()), keys); err != nil {
		t.Fatal(err)
	}
	done, err := Restore(t.Context(), filepath.Join(t.TempDir(), "home"), &whole, RestoreOptions{Passphrase: passphrase("correct horse")})
	if err != nil || !done.SameIdentity || done.Manifest.Records != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (backend{n}).Backup(ctx, &bytes.Buffer{}, api.BackupOptions{}); err == nil {
		t.Error("a backup goes on when nobody waits for it")
	}
}
