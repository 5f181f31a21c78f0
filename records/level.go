package records

// A Level says how much one peer knows of a shard, in its own view.
type Level uint8

// The levels, in rising order of what an answer is worth.
const (
	// LevelNone: not a holder.
	LevelNone Level = iota
	// LevelUnsynced: a holder that is catching up.
	LevelUnsynced
	// LevelPartial: a holder that compared with all who are alive and could know, which were fewer than a quorum.
	LevelPartial
	// LevelLeaving: no holder any more, but one that still keeps everything until the new holders have it.
	LevelLeaving
	// LevelSynced: a holder that has everything that was acknowledged.
	LevelSynced

	numLevels
)

// String returns the level's lower-case name.
func (l Level) String() string {
	switch l {
	case LevelNone:
		return "none"
	case LevelUnsynced:
		return "unsynced"
	case LevelPartial:
		return "partial"
	case LevelLeaving:
		return "leaving"
	case LevelSynced:
		return "synced"
	}
	return "unknown"
}

// counts reports whether an answer of this level counts towards a quorum.
func (l Level) counts() bool { return l >= LevelPartial }

// certain reports whether an answer of this level counts towards "not found".
func (l Level) certain() bool { return l >= LevelLeaving }
