package records

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/semaphore"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// maxForwarded is how many keys a watch remembers the delivered version of. A change of another key is looked up once more, and may be delivered twice.
	maxForwarded = 16 << 10
	// maxConfirms bounds the reads of a watch that are under way at once, and maxConfirmsPerMember those for the changes of one member.
	maxConfirms          = 32
	maxConfirmsPerMember = 8
	// maxQueuedEvents bounds the changes that were found and not taken yet, and maxQueuedBytes their values. Members are not asked while there are so many.
	maxQueuedEvents = 64
	maxQueuedBytes  = 4 << 20
	// helloTimeout bounds how long a watch waits at its start to hear from every member where its changes end.
	helloTimeout = time.Second
	// maxHellos bounds the members asked so at once.
	maxHellos = 64
	// watchMargin is by how much a change may be older than the time up to when every member was heard, before it counts as one that was delivered: as it is when a copy comes to a
	// new holder. It is well above the difference of clocks at which versions are put off.
	watchMargin = 5 * time.Minute
	// keepDeparted is how long the place of a member that left the view is kept, for when it comes back.
	keepDeparted = 24 * time.Hour
)

// WatchOptions say what to watch.
type WatchOptions struct {
	// Prefix is what the keys begin with; empty: every key.
	Prefix string
	// Cursor is where to go on: what Watcher.Cursor of a watch of the same prefix returned; empty: what changes from now on.
	Cursor string
	// Values says that events of changes carry the values.
	Values bool
}

// EventKind says what an Event is.
type EventKind uint8

const (
	// Changed: a record was written or deleted.
	Changed EventKind = iota
	// Lost: changes may have been lost before this event. Who keeps a copy of the records should list them anew.
	Lost
	// Incomplete: so many members can't be heard that changes may be late. Nothing is lost by it.
	Incomplete
	// Complete: enough members are heard again.
	Complete
)

// Event is what a watch tells.
type Event struct {
	Kind EventKind
	// Record is the record that changed; a tombstone where it was deleted. Its value is there only if it was asked for, its length is Size.
	Record Record
	Size   int64
	// Missing are the members that are not heard, of Incomplete.
	Missing []peer.ID
	// Reason says why changes may be lost, of Lost.
	Reason string
}

// Watcher is a watch over the network's records. Next and Cursor are for one goroutine.
type Watcher struct {
	store   *Store
	opts    WatchOptions
	network [4]byte
	// from is the time before which changes are not asked for, in milliseconds since the Unix epoch: a watch that does not go on from a cursor does not look back.
	from uint64

	ctx    context.Context // ends when the watch does
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	found chan delivery
	room  *semaphore.Weighted // bytes of values that were found and not taken
	reads chan struct{}       // one element for each read under way
	turns chan struct{}       // one element for each member that is asked
	news  chan struct{}       // capacity 1: whether members are missing may have changed

	mu        sync.Mutex
	members   map[peer.ID]*follower                // guarded by mu; those in the view, and those that left it lately
	strangers map[memberTag]cursorPlace            // guarded by mu; of the cursor that the watch goes on from, not met yet
	started   time.Time                            // when the watch started
	resumed   uint64                               // the time of the cursor that the watch goes on from; 0: none
	forwarded *simplelru.LRU[disk.Hash, disk.Rank] // guarded by mu; the versions found last
	confirms  map[disk.Hash]chan struct{}          // guarded by mu; keys that are being read; closed at the end
	missing   []peer.ID                            // guarded by mu; nil while enough members are heard

	// Of the goroutine that calls Next.
	first      []Event // told before anything else
	incomplete bool    // told last
}

// A delivery is what followers hand to Next, in order: a change, or up to where a member's changes were handed over.
type delivery struct {
	event  *Event
	weight int64
	member *follower
	place  mark
}

// Watch starts to watch the records whose keys begin with opts.Prefix, over the whole network. Every change that is acknowledged is delivered at least once, a key's versions never going back;
// versions that were replaced meanwhile may be left out. The watch ends with ctx, Close, or the store. Errors are of kind fault.Invalid for a cursor that is none, or of another watch.
func (s *Store) Watch(ctx context.Context, opts WatchOptions) (*Watcher, error) {
	if len(opts.Prefix) > MaxKey {
		return nil, fault.New(fault.TooLarge, "prefix of more than %d bytes", MaxKey)
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	w, err := s.newWatcher(opts)
	if err != nil {
		s.tasks.Done()
		return nil, err
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, w.cancel)
	w.meet(w.resumed == 0)
	w.tasks.Go(w.followView)
	go func() {
		defer s.tasks.Done()
		w.tasks.Wait()
		stop()
		w.cancel()
	}()
	return w, nil
}

func (s *Store) newWatcher(opts WatchOptions) (*Watcher, error) {
	now := s.cfg.Now()
	w := &Watcher{
		store: s, opts: opts, network: [4]byte(s.cfg.Network[:]), started: now, from: millis(now.Add(-maxAhead)),
		found: make(chan delivery, maxQueuedEvents), room: semaphore.NewWeighted(maxQueuedBytes),
		reads: make(chan struct{}, maxConfirms), turns: make(chan struct{}, eagerMembers), news: make(chan struct{}, 1),
		members: map[peer.ID]*follower{}, strangers: map[memberTag]cursorPlace{}, confirms: map[disk.Hash]chan struct{}{},
	}
	var err error
	if w.forwarded, err = simplelru.NewLRU[disk.Hash, disk.Rank](maxForwarded, nil); err != nil {
		return nil, err
	}
	if opts.Cursor == "" {
		return w, nil
	}
	c, err := parseCursor(opts.Cursor)
	lost := ""
	if err == errCursorForm {
		lost = err.Error()
	} else if err != nil {
		return nil, err
	} else if lost, err = c.check(w.network, prefixTag(opts.Prefix), now); err != nil {
		return nil, err
	}
	if lost != "" {
		w.first = []Event{{Kind: Lost, Reason: lost}}
		return w, nil
	}
	w.from, w.resumed = 0, min(c.time, millis(now))
	for _, p := range c.places {
		w.strangers[p.member] = p
	}
	return w, nil
}

// Next returns the next event, once there is one. It returns an error when ctx is over, and one of kind fault.Unavailable when the watch has ended.
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	for {
		if e, ok := w.tell(); ok {
			return e, nil
		}
		select {
		case f := <-w.found:
			if f.event == nil {
				w.mu.Lock()
				f.member.place = f.place
				w.mu.Unlock()
				continue
			}
			w.room.Release(f.weight)
			return *f.event, nil
		case <-w.news:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		case <-w.ctx.Done():
			return Event{}, fault.New(fault.Unavailable, "the watch has ended")
		}
	}
}

// tell returns an event that is about the watch itself, if there is one.
func (w *Watcher) tell() (Event, bool) {
	if len(w.first) > 0 {
		e := w.first[0]
		w.first = w.first[1:]
		return e, true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.incomplete && w.missing != nil:
		w.incomplete = true
		return Event{Kind: Incomplete, Missing: w.missing}, true
	case w.incomplete && w.missing == nil:
		w.incomplete = false
		return Event{Kind: Complete}, true
	}
	return Event{}, false
}

// Cursor returns from where another watch of the same prefix, here or at another peer, goes on after the events that Next has returned. It repeats some of them.
func (w *Watcher) Cursor() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := cursor{network: w.network, prefix: prefixTag(w.opts.Prefix), time: w.heardUntil()}
	var places, departed []cursorPlace
	for _, f := range w.members {
		switch p := (cursorPlace{f.tag, [4]byte(f.place.epoch[:]), f.place.after}); {
		case f.place.epoch == epoch{}:
		case f.departed.IsZero():
			places = append(places, p)
		default:
			departed = append(departed, p)
		}
	}
	for _, p := range w.strangers {
		departed = append(departed, p)
	}
	c.places = trimPlaces(append(places, departed...))
	return c.String()
}

// heardUntil returns the time up to when every member of the view was heard, in milliseconds since the Unix epoch. mu is held.
func (w *Watcher) heardUntil() uint64 {
	now := w.store.cfg.Now()
	until := millis(now)
	for _, f := range w.members {
		if f.departed.IsZero() {
			until = min(until, f.heardUntil(now))
		}
	}
	return until
}

// since returns the time before which changes count as delivered.
func (w *Watcher) since() Timestamp {
	w.mu.Lock()
	until := w.heardUntil()
	w.mu.Unlock()
	margin := uint64(watchMargin.Milliseconds())
	return Timestamp(max(until-min(until, margin), w.from)) << counterBits
}

// Close ends the watch and waits until nothing of it is left.
func (w *Watcher) Close() error {
	w.cancel()
	w.tasks.Wait()
	return nil
}
