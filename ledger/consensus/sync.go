package consensus

import (
	"crypto/sha256"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// Snapshots takes the application's state to other nodes and from them. Its methods are called from many goroutines, those of a restore from one at a time.
type Snapshots interface {
	// List returns the snapshots that others can fetch here.
	List() []state.Snapshot
	// Chunk returns a chunk of one of them. It is fault.NotFound when it is not there.
	Chunk(height int64, index uint32) ([]byte, error)

	// Restore begins to make the application's state, which is that of the genesis, of a snapshot whose tip is known for sure.
	Restore(tip state.Tip) error
	// Apply takes the next chunk. It is fault.Invalid or fault.TooLarge when the snapshot is forged.
	Apply(chunk []byte) error
	// Finish makes what was restored the application's state, on disk. It is fault.Invalid when the snapshot is forged.
	Finish() error
	// Abandon ends a restore that is not finished: the state is that of the genesis again.
	Abandon() error
	// Reset makes the state that of the genesis again.
	Reset() error
}

// Mode says how a node that has no block yet gets the ledger.
type Mode string

// The modes.
const (
	// Auto fetches the state where that is quicker, and otherwise the blocks.
	Auto Mode = "auto"
	// Blocks fetches all blocks since the genesis, and carries them out.
	Blocks Mode = "blocks"
	// State fetches a snapshot of the state, however long it takes until somebody has one, and the blocks after it.
	State Mode = "state"
)

// DefaultBehind is how many blocks a node must lack to fetch the state instead of them: docs/measurements.md has what either costs.
const DefaultBehind = 10_000

// Sync says how a node that has no block yet gets the ledger. The zero value is Auto.
type Sync struct {
	// Mode is empty for Auto.
	Mode Mode
	// Behind is how many blocks must be lacking for Auto to fetch the state; 0 means DefaultBehind.
	Behind int64
	// Trust is a block that the user knows to be of this ledger; nil: none. When the others' chain has another one at that height, the engine fails.
	Trust *Trust

	// ResumeWait is how long nobody who answers may have had a later block, until a validator votes again whose owner has given up what it may have signed; MinResumeWait or more, 0 means DefaultResumeWait.
	ResumeWait time.Duration

	find time.Duration // how long others may take to offer a first snapshot, and the most to wait before the second attempt; findTime, but in tests
}

// Trust is a block that is trusted.
type Trust struct {
	Height int64
	Hash   ledger.Hash
}

func (s Sync) withDefaults() Sync {
	if s.Mode == "" {
		s.Mode = Auto
	}
	if s.Behind == 0 {
		s.Behind = DefaultBehind
	}
	if s.ResumeWait == 0 {
		s.ResumeWait = DefaultResumeWait
	}
	if s.find == 0 {
		s.find = findTime
	}
	return s
}

func (s *Sync) validate() error {
	switch {
	case s.Mode != "" && s.Mode != Auto && s.Mode != Blocks && s.Mode != State:
		return fault.New(fault.Invalid, "consensus: %q is no way to get the ledger: want %s, %s or %s", s.Mode, Auto, Blocks, State)
	case s.Behind < 0:
		return fault.New(fault.Invalid, "consensus: fetch the state when %d blocks are lacking: want 0 or more", s.Behind)
	case s.ResumeWait != 0 && s.ResumeWait < MinResumeWait:
		return fault.New(fault.Invalid, "consensus: wait %s for others before a validator votes again: want %s or more", s.ResumeWait, MinResumeWait)
	case s.Trust != nil && s.Trust.Height < 1:
		return fault.New(fault.Invalid, "consensus: the trusted block is %d, want 1 or more", s.Trust.Height)
	}
	return nil
}

// How state sync goes about it.
const (
	// snapshotFormat is the one format of snapshots that there is.
	snapshotFormat = 1
	// maxRounds is how often Auto looks for a snapshot before it takes the blocks.
	maxRounds = 3
	// minPause and maxPauseRounds bound the time between two rounds: each waits twice as long as the one before.
	minPause       = 2 * time.Second
	maxPauseRounds = 30 * time.Second
	// askTime is how long a peer may take to answer a question, and findTime how long all together may take to offer a first snapshot, after which settleTime is left to the others.
	askTime    = 5 * time.Second
	findTime   = 10 * time.Second
	settleTime = time.Second
	// chunkTime is how long a peer may take for a chunk before another is asked.
	chunkTime = 5 * time.Second
	// fetchers is how many chunks are asked for at once.
	fetchers = 4
)

// Stage is what a node that lacks blocks is doing.
type Stage string

// The stages. A node that lacks nothing is in none.
const (
	// StagePeers looks for peers, to learn how much is lacking.
	StagePeers Stage = "peers"
	// StageState fetches a snapshot of the state.
	StageState Stage = "state"
	// StageBlocks fetches blocks.
	StageBlocks Stage = "blocks"
)

// Progress is how the fetching of what a node lacks goes on.
type Progress struct {
	Stage Stage
	// Target is the height that others have, as far as is known; 0: not known.
	Target int64
	// Snapshot is the height of the snapshot that is fetched, Chunks how many chunks it has, and Applied how many of them are there.
	Snapshot        int64
	Applied, Chunks int
	// Note says why the state was not fetched, or is not yet; empty: there is nothing to say.
	Note string
	// Lacking says that a block which is needed is nowhere; empty: it is somewhere.
	Lacking string
}

// snapshotHash is how CometBFT's messages name a snapshot.
func snapshotHash(s *state.Snapshot) []byte {
	h := s.Hash()
	return h[:]
}

// chunkHash is what a snapshot's description has of a chunk.
func chunkHash(chunk []byte) [sha256.Size]byte { return sha256.Sum256(chunk) }
