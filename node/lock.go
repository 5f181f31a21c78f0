package node

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/folkmoot/folkmoot/fault"
)

// lockHome takes home for this process, so that no two nodes share an identity or a disk. The lock ends with the process.
func lockHome(home string) (*flock.Flock, error) {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("make home folder: %w", err)
	}
	lock := flock.New(filepath.Join(home, lockFile), flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock home %s: %w", home, err)
	}
	if !ok {
		var doc runningDocument
		who := "another node"
		if readJSON(filepath.Join(home, runningFile), &doc) == nil && doc.PID != 0 {
			who = fmt.Sprintf("another node (pid %d)", doc.PID)
		}
		return nil, fault.New(fault.Conflict, "%s runs on home %s: stop it, or give this one another --home", who, home)
	}
	return lock, nil
}
