// Package guardfstest has file systems that fail when a test wants them to.
package guardfstest

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Failing returns a file system whose writes fail with *cause while it is set. Syncs go on, and so does reading.
func Failing(fs vfs.FS, cause *atomic.Pointer[error]) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpRename, errorfs.OpLink:
			if err := cause.Load(); err != nil {
				return *err
			}
		}
		return nil
	}))
}
