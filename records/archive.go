package records

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/swarm"
)

// An Archive is the disk of a store that does not run, for backups and for restoring them.
type Archive struct {
	disk   *disk.Disk
	signer *recordSigner
	newest Timestamp // of the records imported
}

// OpenArchive opens the folder of a store's copies; a new one is made where there is none. No Store may have it open.
func OpenArchive(dir string, network swarm.NetworkID, logger *slog.Logger) (*Archive, error) {
	d, err := disk.Open(disk.Config{Dir: dir, Network: network, Logger: logger})
	if err != nil {
		return nil, err
	}
	return &Archive{disk: d, signer: newRecordSigner(network)}, nil
}

// Export calls take for the signed envelope of every record, deletions included. The envelope is valid until take returns.
func (a *Archive) Export(ctx context.Context, take func(envelope []byte) error) error {
	return a.disk.Export(ctx, take)
}

// Import stores records as Export gave them. It is fault.Invalid, and stores none of them, when one is no signed record of this network.
func (a *Archive) Import(ctx context.Context, envelopes [][]byte) error {
	updates := make([]disk.Update, 0, len(envelopes))
	for i, envelope := range envelopes {
		rec, err := a.signer.open(envelope, false)
		if err != nil {
			return fmt.Errorf("record %d: %w", i+1, err)
		}
		updates = append(updates, disk.Update{Hash: rec.key.hash(), Head: rec.head, Envelope: envelope})
		a.newest = max(a.newest, rec.version().Time)
	}
	_, err := a.disk.PutMany(ctx, updates)
	return err
}

// Imported says that all records were imported and are as they were at taken. A store that is opened on them later than deletions are kept takes what the network does not know for
// deleted; and its clock goes on behind the newest of them.
func (a *Archive) Imported(ctx context.Context, taken time.Time) error {
	clock, err := a.disk.Clock()
	if err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	if uint64(a.newest) > clock {
		if err := a.disk.SetClock(ctx, uint64(a.newest)); err != nil {
			return fmt.Errorf("set the clock: %w", err)
		}
	}
	return a.disk.SetNote(ctx, levelsNote, (&levels{at: millis(taken)}).marshal())
}

// Close closes the disk.
func (a *Archive) Close() error { return a.disk.Close() }
