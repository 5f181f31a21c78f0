// Package backup reads and writes backups of a node: one file that holds its network, the peers that it knew, its records with their authors' signatures and, under a
// passphrase, its identity's key.
//
// A backup is a tar archive (POSIX.1-2001) of these entries in this order:
//
//	header.json        format, network, peer, time
//	network.json       the network's document, as it is in the home
//	peers.json         the peers known, as in the home; may be missing
//	identity.key.age   the identity's key, encrypted with a passphrase (age, scrypt); may be missing
//	records/00000001   records: signed envelopes, each after its length in four bytes, big endian; any number of parts
//	manifest.json      counts, and the SHA-256 of each entry and of all records together
//
// What follows the manifest is no part of it. A backup without a manifest was cut off.
package backup

import (
	"fmt"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// Format is the version of the format that is written. Readers refuse newer ones.
const Format = 1

// Names of the entries.
const (
	headerName   = "header.json"
	manifestName = "manifest.json"
	recordsName  = "records/"

	NetworkFile  = "network.json"
	PeersFile    = "peers.json"
	IdentityFile = "identity.key.age"
)

// Bounds of what is read, in bytes.
const (
	maxDocument = 64 << 10
	maxPeers    = 16 << 20
	// MaxRecord bounds the envelope of a record: above that of the largest value.
	MaxRecord = 2 << 20
	// maxPart bounds an entry of records; parts are begun anew above partSize.
	maxPart  = partSize + MaxRecord + lengthSize
	partSize = 4 << 20

	lengthSize = 4
)

// files lists the entries between header and records, in their order, with their bounds.
func files() []file {
	return []file{{NetworkFile, maxDocument, true}, {PeersFile, maxPeers, false}, {IdentityFile, maxDocument, false}}
}

type file struct {
	name     string
	max      int64
	required bool
}

// Header says what a backup is of.
type Header struct {
	Format  int       `json:"format"`
	Network string    `json:"network"` // the network's id
	Peer    string    `json:"peer"`
	Taken   time.Time `json:"taken"`
	Program string    `json:"program,omitempty"` // the version of the program that wrote it
}

// Manifest says what a backup holds.
type Manifest struct {
	Header
	Records int64 `json:"records"`
	Bytes   int64 `json:"record_bytes"`
	Parts   int   `json:"record_parts"`
	// Files has the SHA-256 of each entry before the records, RecordsSum that of all parts together.
	Files      map[string]string `json:"sha256"`
	RecordsSum string            `json:"records_sha256"`
}

// HasIdentity tells whether the identity's key is in the backup.
func (m *Manifest) HasIdentity() bool { return m.Files[IdentityFile] != "" }

func partName(n int) string { return fmt.Sprintf("%s%08d", recordsName, n) }

func isPart(name string) bool { return strings.HasPrefix(name, recordsName) }

func damaged(format string, args ...any) error {
	return fault.New(fault.Invalid, "the backup is damaged: "+format, args...)
}
