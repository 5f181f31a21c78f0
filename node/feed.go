package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	// feedKept is how many events are kept for those who come back or are slow.
	feedKept = 1024
	// feedLinger is how long events are gathered on after the last reader has gone.
	feedLinger = 2 * time.Minute
	// feedPause is the least time between two looks at the network, and feedTick the most: what no channel tells of, such as connections and numbers of records, is seen then.
	feedPause = 200 * time.Millisecond
	feedTick  = time.Second
)

// feed tells what changes around a node to those who watch. While nobody does, and nobody did lately, it does nothing.
type feed struct {
	// look returns how things are, and changed channels of which one is closed when they have changed.
	look    func() *picture
	changed func() []<-chan struct{}

	looking sync.Mutex // held while a picture is taken and told, so that they are told in order

	mu    sync.Mutex
	epoch string // guarded by mu; tells cursors of this feed, since it slept last, from others
	// events are the last ones, of which the first has number first; guarded by mu.
	events []v1.NetworkEvent
	first  uint64
	now    *picture      // guarded by mu; as of the last event, nil while the feed sleeps
	told   chan struct{} // guarded by mu; closed at the next event
	// readers is how many there are, and left when the last of them went; guarded by mu.
	readers int
	left    time.Time
	// woken has an element when the first reader has come.
	woken chan struct{}
}

func newFeed(look func() *picture, changed func() []<-chan struct{}) *feed {
	return &feed{look: look, changed: changed, epoch: rand.Text()[:feedEpoch], told: make(chan struct{}), woken: make(chan struct{}, 1)}
}

// feedEpoch is how many characters of a cursor name the feed.
const feedEpoch = 10

// Run looks at the network while there are readers, until ctx ends.
func (f *feed) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.woken:
		}
		for f.wanted() {
			channels := f.changed()
			f.refresh()
			if !f.rest(ctx, channels) {
				return nil
			}
		}
	}
}

// rest waits for the next look. It returns false when ctx has ended.
func (f *feed) rest(ctx context.Context, changed []<-chan struct{}) bool {
	pause, tick := time.NewTimer(feedPause), time.NewTimer(feedTick)
	defer pause.Stop()
	defer tick.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return false
	}
	for len(changed) < 2 {
		changed = append(changed, nil)
	}
	select {
	case <-changed[0]:
	case <-changed[1]:
	case <-tick.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// wanted says whether to go on. Where nobody has read for long it forgets everything.
func (f *feed) wanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers > 0 || time.Since(f.left) < feedLinger {
		return true
	}
	f.first += uint64(len(f.events))
	f.events, f.now, f.epoch = nil, nil, rand.Text()[:feedEpoch]
	return false
}

// refresh takes a picture and tells what is different from the one before.
func (f *feed) refresh() {
	f.looking.Lock()
	defer f.looking.Unlock()
	now := f.look()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now != nil {
		f.tell(f.now.changes(now))
	}
	f.now = now
}

// tell needs mu.
func (f *feed) tell(events []v1.NetworkEvent) {
	if len(events) == 0 {
		return
	}
	f.events = append(f.events, events...)
	if over := len(f.events) - feedKept; over > 0 {
		f.events = append([]v1.NetworkEvent(nil), f.events[over:]...)
		f.first += uint64(over)
	}
	close(f.told)
	f.told = make(chan struct{})
}

// watch begins to read at a cursor, or with the whole where that is empty, too old or another feed's.
func (f *feed) watch(ctx context.Context, cursor string) (*networkWatch, error) {
	w := &networkWatch{feed: f}
	if cursor != "" {
		epoch, number, ok := strings.Cut(cursor, ".")
		next, err := strconv.ParseUint(number, 10, 64)
		if !ok || err != nil || len(epoch) != feedEpoch {
			return nil, fault.New(fault.Invalid, "cursor %.40q: want one that a stream of network events gave", cursor)
		}
		w.epoch, w.next = epoch, next
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	f.enter()
	return w, nil
}

func (f *feed) enter() {
	f.mu.Lock()
	f.readers++
	sleeps := f.now == nil
	f.mu.Unlock()
	if sleeps {
		f.refresh()
		select {
		case f.woken <- struct{}{}:
		default:
		}
	}
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers--
	f.left = time.Now()
}

// networkWatch is one reader.
type networkWatch struct {
	feed   *feed
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
	// epoch and next are the cursor: the number of the event that is read next.
	epoch string
	next  uint64
}

// Next implements api.NetworkWatch.
func (w *networkWatch) Next(ctx context.Context) (v1.NetworkEvent, error) {
	for {
		event, found, told := w.take()
		if found {
			return event, nil
		}
		select {
		case <-told:
		case <-ctx.Done():
			return v1.NetworkEvent{}, ctx.Err()
		case <-w.ctx.Done():
			return v1.NetworkEvent{}, fault.New(fault.Unavailable, "the watch has ended")
		}
	}
}

func (w *networkWatch) take() (event v1.NetworkEvent, found bool, told <-chan struct{}) {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	end := f.first + uint64(len(f.events))
	switch {
	case w.epoch != f.epoch || w.next < f.first || w.next > end:
		w.epoch, w.next = f.epoch, end
		return f.now.whole(), true, nil
	case w.next < end:
		event = f.events[w.next-f.first]
		w.next++
		return event, true, nil
	}
	return event, false, f.told
}

// Cursor implements api.NetworkWatch.
func (w *networkWatch) Cursor() string {
	if w.epoch == "" {
		return ""
	}
	return fmt.Sprintf("%s.%d", w.epoch, w.next)
}

// Close implements api.NetworkWatch.
func (w *networkWatch) Close() error {
	w.once.Do(func() {
		w.cancel()
		w.feed.leave()
	})
	return nil
}
