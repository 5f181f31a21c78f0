package state

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// DefaultEvery is how many blocks there are between two snapshots where nothing is said. A node that fetches a snapshot carries out up to so many blocks after it.
	DefaultEvery = 5_000
	// DefaultKept is how many snapshots are kept where nothing is said: one may still be fetched by somebody while the next is there.
	DefaultKept = 2
	// MaxKept is the most snapshots that may be kept.
	MaxKept = 8
	// MaxChunks is the most chunks of a snapshot: 8 GiB of state. A larger one is not taken, and not accepted.
	MaxChunks = 8_192

	manifestName    = "manifest"
	manifestVersion = 1
	unfinished      = ".unfinished"
)

// Snapshot describes one: which chunks it has. Every node that takes one of the same height describes it the same.
type Snapshot struct {
	// Height is that of the block after which the state was so.
	Height int64
	// Chunks are the SHA-256 of the chunks, 1 to MaxChunks.
	Chunks [][sha256.Size]byte
}

// Hash names a snapshot.
func (s *Snapshot) Hash() [sha256.Size]byte { return sha256.Sum256(s.Encode()) }

// Encode writes the description as ParseSnapshot reads it: version uint8, height uint64, then to the end for each chunk its SHA-256.
func (s *Snapshot) Encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{manifestVersion}, uint64(s.Height))
	for i := range s.Chunks {
		b = append(b, s.Chunks[i][:]...)
	}
	return b
}

// ParseSnapshot reads what Encode wrote. Errors are of kind fault.Invalid.
func ParseSnapshot(data []byte) (Snapshot, error) {
	s := cryptobyte.String(data)
	var version uint8
	var height uint64
	if !s.ReadUint8(&version) || version != manifestVersion || !s.ReadUint64(&height) || height == 0 || height > 1<<62 ||
		len(s) == 0 || len(s)%sha256.Size != 0 || len(s)/sha256.Size > MaxChunks {
		return Snapshot{}, fault.New(fault.Invalid, "malformed description of a snapshot")
	}
	out := Snapshot{Height: int64(height), Chunks: make([][sha256.Size]byte, len(s)/sha256.Size)}
	for i := range out.Chunks {
		s.CopyBytes(out.Chunks[i][:])
	}
	return out, nil
}

// KeeperConfig configures a Keeper.
type KeeperConfig struct {
	// Dir is the folder of the snapshots, made when it is not there. Nothing else is in it.
	Dir string
	// Every is how many blocks there are between two snapshots; 0: DefaultEvery. Nodes with the same number have the same snapshots, of which a part can be fetched from each.
	Every int64
	// Kept is how many are kept, up to MaxKept; 0: DefaultKept.
	Kept int
	// FS is the file system; nil: the machine's.
	FS     vfs.FS
	Logger *slog.Logger // nil: silent
}

// Keeper takes snapshots while blocks go on, and keeps the newest of them in files. Its methods may be called from many goroutines.
type Keeper struct {
	cfg     KeeperConfig
	writing sync.WaitGroup

	mu     sync.Mutex
	busy   bool       // guarded by mu; a snapshot is being written
	closed bool       // guarded by mu
	kept   []Snapshot // guarded by mu; the newest last
}

// OpenKeeper opens the snapshots in a folder. What was left unfinished is removed. It is fault.Invalid when the configuration cannot work.
func OpenKeeper(cfg KeeperConfig) (*Keeper, error) {
	if cfg.Every == 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.Kept == 0 {
		cfg.Kept = DefaultKept
	}
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Every < 1 || cfg.Kept < 1 || cfg.Kept > MaxKept {
		return nil, fault.New(fault.Invalid, "snapshots: every %d blocks, %d kept: want 1 or more, and 1 to %d", cfg.Every, cfg.Kept, MaxKept)
	}
	k := &Keeper{cfg: cfg}
	if err := k.load(); err != nil {
		return nil, fmt.Errorf("open the snapshots in %s: %w", cfg.Dir, err)
	}
	return k, nil
}

// load finds the snapshots that are there, and removes what is none.
func (k *Keeper) load() error {
	if err := k.cfg.FS.MkdirAll(k.cfg.Dir, 0o700); err != nil {
		return err
	}
	names, err := k.cfg.FS.List(k.cfg.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		s, err := k.read(name)
		if err == nil {
			k.kept = append(k.kept, s)
			continue
		}
		if !strings.HasSuffix(name, unfinished) {
			k.cfg.Logger.Warn("ledger: a snapshot cannot be read and is removed", "name", name, "error", err)
		}
		if err := k.cfg.FS.RemoveAll(k.path(name)); err != nil {
			return err
		}
	}
	slices.SortFunc(k.kept, byHeight)
	return k.dropOld()
}

func (k *Keeper) path(names ...string) string {
	return path.Join(append([]string{k.cfg.Dir}, names...)...)
}

func byHeight(a, b Snapshot) int { return cmp.Compare(a.Height, b.Height) }

func folderOf(height int64) string { return fmt.Sprintf("%020d", height) }

func chunkName(i int) string { return strconv.Itoa(i) }

// read reads the description of a snapshot.
func (k *Keeper) read(name string) (Snapshot, error) {
	data, err := readFile(k.cfg.FS, k.path(name, manifestName), 16+MaxChunks*sha256.Size)
	if err != nil {
		return Snapshot{}, err
	}
	s, err := ParseSnapshot(data)
	if err == nil && folderOf(s.Height) != name {
		err = fault.New(fault.Internal, "it says that it is of block %d", s.Height)
	}
	return s, err
}

// dropOld removes the snapshots that are more than are to be kept. Callers hold mu, or are alone.
func (k *Keeper) dropOld() error {
	var errs []error
	for len(k.kept) > k.cfg.Kept {
		errs = append(errs, k.cfg.FS.RemoveAll(k.path(folderOf(k.kept[0].Height))))
		k.kept = k.kept[1:]
	}
	return errors.Join(errs...)
}

// Due reports whether a snapshot is to be taken after a block.
func (k *Keeper) Due(height int64) bool { return height > 0 && height%k.cfg.Every == 0 }

// Take begins to write a snapshot of a view, which it takes over and closes, and returns at once. While the one before is still being written none is taken.
func (k *Keeper) Take(v *View) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || k.busy {
		if err := v.Close(); err != nil {
			k.cfg.Logger.Warn("ledger: no snapshot", "height", v.Tip.Height, "error", err)
		}
		return
	}
	k.busy = true
	k.writing.Go(func() {
		s, err := k.write(v)
		if err = errors.Join(err, v.Close()); err == nil {
			err = k.add(s)
		}
		if err != nil {
			k.cfg.Logger.Warn("ledger: no snapshot", "height", v.Tip.Height, "error", err)
		}
		k.mu.Lock()
		k.busy = false
		k.mu.Unlock()
	})
}

// errClosing ends the writing of a snapshot.
var errClosing = errors.New("the ledger is being closed")

// write writes a snapshot, with its description last, and gives it its name when all is on disk.
func (k *Keeper) write(v *View) (Snapshot, error) {
	s := Snapshot{Height: v.Tip.Height}
	name := folderOf(s.Height) + unfinished
	fail := func(err error) (Snapshot, error) {
		return Snapshot{}, errors.Join(err, k.cfg.FS.RemoveAll(k.path(name)))
	}
	if err := k.cfg.FS.MkdirAll(k.path(name), 0o700); err != nil {
		return fail(err)
	}
	for chunk, err := range v.Snapshot() {
		if err == nil && len(s.Chunks) == MaxChunks {
			err = fault.New(fault.TooLarge, "the state has more than %d chunks", MaxChunks)
		}
		if err == nil && k.closing() {
			err = errClosing
		}
		sum := sha256.Sum256(chunk) // before it is written, which may change it
		if err == nil {
			err = writeFile(k.cfg.FS, k.path(name, chunkName(len(s.Chunks))), chunk)
		}
		if err != nil {
			return fail(err)
		}
		s.Chunks = append(s.Chunks, sum)
	}
	if len(s.Chunks) == 0 {
		return fail(fault.New(fault.Invalid, "the state is empty"))
	}
	err := writeFile(k.cfg.FS, k.path(name, manifestName), s.Encode())
	if err == nil {
		err = syncDir(k.cfg.FS, k.path(name))
	}
	if err != nil {
		return fail(err)
	}
	return s, nil
}

func (k *Keeper) closing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

// add makes a snapshot that was written one of those that are kept.
func (k *Keeper) add(s Snapshot) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	final := k.path(folderOf(s.Height))
	if err := k.cfg.FS.RemoveAll(final); err != nil { // of the same height, from before the state was made anew
		return err
	}
	k.kept = slices.DeleteFunc(k.kept, func(old Snapshot) bool { return old.Height == s.Height })
	if err := k.cfg.FS.Rename(final+unfinished, final); err != nil {
		return err
	}
	k.kept = append(k.kept, s)
	slices.SortFunc(k.kept, byHeight)
	return errors.Join(k.dropOld(), syncDir(k.cfg.FS, k.cfg.Dir))
}

// List returns the snapshots that are kept, the newest last.
func (k *Keeper) List() []Snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.kept)
}

// Chunk returns a chunk of a snapshot. It is fault.NotFound when the snapshot is not kept, or has no such chunk, and fault.Internal when the disk has something else than was written.
func (k *Keeper) Chunk(height int64, index uint32) ([]byte, error) {
	k.mu.Lock()
	at := slices.IndexFunc(k.kept, func(s Snapshot) bool { return s.Height == height })
	if at < 0 || int64(index) >= int64(len(k.kept[at].Chunks)) {
		k.mu.Unlock()
		return nil, fault.New(fault.NotFound, "chunk %d of the snapshot of block %d is not kept", index, height)
	}
	want := k.kept[at].Chunks[index]
	k.mu.Unlock()
	data, err := readFile(k.cfg.FS, k.path(folderOf(height), chunkName(int(index))), MaxChunk)
	if err != nil {
		return nil, fmt.Errorf("read chunk %d of the snapshot of block %d: %w", index, height, err)
	}
	if sha256.Sum256(data) != want {
		return nil, fault.New(fault.Internal, "chunk %d of the snapshot of block %d is damaged", index, height)
	}
	return data, nil
}

// Close ends the writing of a snapshot, if there is one, and waits for that.
func (k *Keeper) Close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.writing.Wait()
	return nil
}

// readFile reads a file of at most so many bytes.
func readFile(fs vfs.FS, name string, most int64) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fault.New(fault.TooLarge, "%s has more than %d bytes", path.Base(name), most)
	}
	return data, errors.Join(err, f.Close())
}

// writeFile writes a file that is on disk when it returns.
func writeFile(fs vfs.FS, name string, data []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(fs vfs.FS, name string) error {
	d, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
