package node_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/records"
)

// TestHomeOnAVolumeOfAGroup starts a node anew after Kubernetes has given its volume to the pod's group: folders get mode 2770, files 0660.
func TestHomeOnAVolumeOfAGroup(t *testing.T) {
	home := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(home, 0o770); err != nil {
		t.Fatal(err)
	}
	giveToGroup(t, home)
	cfg := loopback(home)
	cfg.API.Token = "secret"
	n, stop := start(t, cfg)
	id := n.ID()
	if _, err := n.Records().Put(t.Context(), "k", []byte("v"), records.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	giveToGroup(t, home)
	again, _ := start(t, cfg)
	if again.ID() != id {
		t.Errorf("the node is %s, was %s", again.ID(), id)
	}
	if r, err := again.Records().Get(t.Context(), "k", records.GetOptions{}); err != nil || string(r.Value) != "v" {
		t.Errorf("got %q, %v", r.Value, err)
	}
	if _, token, err := node.RunningAPI(home); err != nil || token != "secret" {
		t.Errorf("the token left in the home is %q, %v", token, err)
	}
}

func giveToGroup(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o770|os.ModeSetgid)
		}
		return os.Chmod(path, 0o660)
	})
	if err != nil {
		t.Fatal(err)
	}
}
