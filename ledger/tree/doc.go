// Package tree is the authenticated tree over the ledger's state: its root is the app hash.
//
// # Form
//
// A binary Merkle tree over the hashes of keys. Each bit of a key's hash says left (0) or right (1). A subtree without an entry is the hash of all
// zeros, one with a single entry is that entry's leaf, wherever it hangs; any other is an inner node, the hash of its two halves. So the root depends
// on the entries alone, not on the order in which they came or on what was there in between, and the way from the root to an entry is about as long as the
// logarithm of their number.
//
//	leaf  = SHA-256("folkmoot/tree/leaf/1", hash of the key, hash of the value)
//	inner = SHA-256("folkmoot/tree/inner/1", left, right)
//
// A [Proof] of presence or absence is what hangs beside that way. The values themselves are not here: whoever keeps the state has them by key, and reads
// them without the tree.
//
// # Work
//
// [Tree.Update] takes all changes of a block at once and goes through the tree once: each node that changes is hashed once, each page that changes is
// written once. Nothing stored is touched: the [Update] has the pages to be written, and several updates of one tree can be computed before one is stored, in one
// write with whatever else belongs to the block.
//
// # Pages
//
// The tree is cut into pages, which are read and written whole. A subtree of up to 8 entries is a bucket, which is the list of them: its nodes are hashed
// anew when one changes. What is above is in branches of five levels, which list the hashes at their lower edge. Where the cuts are depends on the
// entries alone, too: [Build] makes from all entries, in order and with bounded memory, the same pages as any history of updates. Each page that is read
// is hashed and compared with what the page above says of it, so that damage, or a page of another state, is an error and never a wrong root.
//
// The package is pure: no disk, clock or goroutine. [Pages] is its view of the disk.
package tree
