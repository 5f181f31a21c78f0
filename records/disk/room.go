package disk

import (
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// minFreeBytes is the room on the file system that records leave free: pebble needs some to write out what it has taken, and
	// deletions, which are taken still, to win room back.
	minFreeBytes = 32 << 20
	// roomCheckEvery is how often the free room and the quota are looked at, at most.
	roomCheckEvery = time.Second
)

var errFull = fault.New(fault.Full, "the disk is full")

// room returns an error of kind fault.Full when there is no room for another record.
func (d *Disk) room() error {
	now := time.Now().UnixNano()
	if last := d.roomChecked.Load(); now-last >= int64(roomCheckEvery) && d.roomChecked.CompareAndSwap(last, now) {
		d.measure()
	}
	if d.low.Load() {
		return errFull
	}
	if used := d.over.Load(); used != 0 {
		return fault.New(fault.Full, "the records use %d bytes of the disk, --quota allows %d: nothing more is taken but deletions", used, d.quota)
	}
	return nil
}

func (d *Disk) measure() {
	usage, err := d.fs.GetDiskUsage(d.dir)
	d.low.Store(err == nil && usage.AvailBytes < minFreeBytes)
	if d.quota == 0 {
		return
	}
	used := d.Bytes()
	if used <= d.quota {
		used = 0
	}
	d.over.Store(used)
}

// Bytes returns how much of the disk the store uses.
func (d *Disk) Bytes() int64 { return int64(d.db.Metrics().DiskSpaceUsage()) }
