// Package payments keeps an import of transfers exactly once: it reads the list, a CSV file, and has a journal of every transaction that was made for one of its lines, which is on the disk
// before the transaction leaves.
package payments
