package state

// room is the memory of a store, in bytes.
type room struct {
	// pages is for pages of the tree: the branches of a million entries take 20 MiB, all pages 110 MiB.
	pages int
	// blocks is for blocks of pebble's tables, with their indexes and filters. Where it does not hold these, each read of an account that nobody has asked for lately reads some hundred KiB.
	blocks int
	// table is for each table in memory, of which there are two at most times. Large ones halve what is written, as pages at the top of the tree change with every block.
	table int
}

// roomIn returns what a store takes of a process's memory, in bytes; 0: nobody knows how much there is. What is not needed is not taken.
func roomIn(memory int64) room {
	share := func(part, least, most int64) int { return int(min(max(memory/part, least), most)) }
	return room{pages: share(64, 64<<20, 256<<20), blocks: share(64, 32<<20, 256<<20), table: share(256, 32<<20, 64<<20)}
}
