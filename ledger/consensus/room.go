package consensus

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/guardfs"
)

const (
	// pauseBelow is the room on the disk below which the engine pauses. It is less than what records leave free, so that records alone never stop the ledger, and enough for a block that is being written, which has 16 MiB at
	// most and is rarely near that: what has no room all the same waits for it, see package guardfs.
	pauseBelow = 16 << 20
	// goOnAbove is the room with which the engine goes on: enough to repair CometBFT's write-ahead log, of which a copy is made for that, and more than pauseBelow, so that it does not go to and fro.
	goOnAbove = 32 << 20
	// roomInterval is how often a paused engine looks for room.
	roomInterval = time.Second
)

// room returns how many bytes of the disk of the ledger are free, and false where nobody can tell.
func (e *Engine) room() (free uint64, ok bool) {
	usage, err := e.cfg.FS.GetDiskUsage(e.cfg.Dir)
	return usage.AvailBytes, err == nil
}

// low reports whether the disk has less room than some.
func (e *Engine) low(than uint64) bool {
	free, ok := e.room()
	return ok && free < than
}

// isFull reports whether an error comes from a full disk. CometBFT makes text of some.
func isFull(err error) bool {
	text := err.Error()
	return guardfs.IsFull(err) || fault.KindOf(err) == fault.Full || strings.Contains(text, syscall.ENOSPC.Error()) || strings.Contains(text, syscall.EDQUOT.Error())
}

// waitable reports whether an error comes from a full disk, and there is nothing that room on it would not mend.
func (e *Engine) waitable(err error) bool { return isFull(err) && e.cfg.Broken() == nil }

// pause stops the engine for want of room; Run has it go on by itself.
func (e *Engine) pause() {
	e.failing.Lock()
	defer e.failing.Unlock()
	e.pauseLocked()
}

// pauseLocked is pause while failing is held.
func (e *Engine) pauseLocked() {
	if e.failure != nil || e.ending || e.full {
		return
	}
	e.full = true
	free, _ := e.room()
	e.cfg.Logger.Error("ledger: this node stops taking part until its disk has room", "free", free, "want", goOnAbove)
	close(e.paused)
}

// pausing returns a channel that is closed when the engine pauses.
func (e *Engine) pausing() <-chan struct{} {
	e.failing.Lock()
	defer e.failing.Unlock()
	return e.paused
}

// Paused returns why the engine has stopped for now, and will go on by itself, or nil. Its kind is fault.Full.
func (e *Engine) Paused() error {
	e.failing.Lock()
	full := e.full
	e.failing.Unlock()
	if !full {
		return nil
	}
	free := "no room for the ledger"
	if n, ok := e.room(); ok {
		free = fmt.Sprintf("%d MiB free", n>>20)
	}
	return fault.New(fault.Full, "the disk with %s has %s: the ledger stands still at this node, and goes on by itself when there are %d MiB", e.cfg.Dir, free, goOnAbove>>20)
}

// awaitRoom returns true when a paused engine may go on, with nothing of CometBFT left at work, and false when ctx ends before. p is nil when nothing of CometBFT is there.
func (e *Engine) awaitRoom(ctx context.Context, p *parts) bool {
	tick := time.NewTicker(roomInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if !e.low(goOnAbove) && (p == nil || p.rests()) {
			return true
		}
	}
}

// rests reports whether nothing waits for room any more, and the switch, which was told to stop, has done so.
func (p *parts) rests() bool {
	select {
	case <-p.stopped:
		return !p.store.Waits()
	default: // it is still in the middle of what waited for room
		return false
	}
}

// goOn ends a pause.
func (e *Engine) goOn() {
	e.failing.Lock()
	defer e.failing.Unlock()
	e.full, e.paused = false, make(chan struct{})
	e.progress.again(time.Now())
	e.cfg.Logger.Info("ledger: the disk has room again, and this node takes part again")
}
