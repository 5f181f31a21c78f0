// Package backup reads and writes backups of a node: one file that holds its network, the peers that it knew, its records with their authors' signatures, its copy of the ledger and, under a
// passphrase, its keys.
//
// A backup is a tar archive (POSIX.1-2001) of these entries in this order:
//
//	header.json        format, network, peer, time
//	network.json       the network's document, as it is in the home
//	peers.json         the peers known, as in the home; may be missing
//	identity.key.age   the identity's key, encrypted with a passphrase (age, scrypt); may be missing
//	keys.age           the key that the node votes with and the keys of accounts, encrypted likewise (keys.go); may be missing
//	records/00000001   records: signed envelopes, each after its length in four bytes, big endian; any number of parts
//	ledger/chain/NAME  files of the ledger: of CometBFT's databases (chain), of its log (wal), of the state (state); any number, may be missing
//	predecessors/ID/chain/NAME  files of the ledgers that it goes on from, each in a folder named after its id in hexadecimal; any number, may be missing
//	manifest.json      counts, and the SHA-256 of each entry before the records, of all records together, and of all of the ledgers together
//
// What follows the manifest is no part of it. A backup without a manifest was cut off.
package backup

import (
	"fmt"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// Format is the version of the format that is written. Readers refuse newer ones. Format 1 had neither keys.age nor the ledger, format 2 no predecessors.
const Format = 3

// Names of the entries.
const (
	headerName   = "header.json"
	manifestName = "manifest.json"
	recordsName  = "records/"
	ledgerName   = "ledger/"
	// PredecessorsName begins the names of files of predecessors, of entries as for Taker.Ledger.
	PredecessorsName = "predecessors/"

	NetworkFile  = "network.json"
	PeersFile    = "peers.json"
	IdentityFile = "identity.key.age"
	KeysFile     = "keys.age"
)

// Bounds of what is read, in bytes.
const (
	maxDocument = 64 << 10
	// maxNetwork leaves room for a genesis.
	maxNetwork = 512 << 10
	maxPeers   = 16 << 20
	// maxKeys bounds keys.age.
	maxKeys = 16 << 20
	// maxLedgerFiles bounds how many files the ledger has, and maxLedgerFile the size of one: what the archive's form can say.
	maxLedgerFiles = 1_000_000
	maxLedgerFile  = 8<<30 - 1
	// MaxRecord bounds the envelope of a record: above that of the largest value.
	MaxRecord = 2 << 20
	// maxPart bounds an entry of records; parts are begun anew above partSize.
	maxPart  = partSize + MaxRecord + lengthSize
	partSize = 4 << 20

	lengthSize = 4
)

// files lists the entries between header and records, in their order, with their bounds.
func files() []file {
	return []file{{NetworkFile, maxNetwork, true}, {PeersFile, maxPeers, false}, {IdentityFile, maxDocument, false}, {KeysFile, maxKeys, false}}
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
	// LedgerFiles and LedgerBytes are how much there is of the ledger and its predecessors, and LedgerSum is the SHA-256 of it; "": nothing.
	LedgerFiles int64  `json:"ledger_files,omitempty"`
	LedgerBytes int64  `json:"ledger_bytes,omitempty"`
	LedgerSum   string `json:"ledger_sha256,omitempty"`
}

// HasIdentity tells whether the identity's key is in the backup.
func (m *Manifest) HasIdentity() bool { return m.Files[IdentityFile] != "" }

// HasKeys tells whether the key that the node votes with and those of accounts are in the backup, as far as there were any.
func (m *Manifest) HasKeys() bool { return m.Files[KeysFile] != "" }

func partName(n int) string { return fmt.Sprintf("%s%08d", recordsName, n) }

func isPart(name string) bool { return strings.HasPrefix(name, recordsName) }

func damaged(format string, args ...any) error {
	return fault.New(fault.Invalid, "the backup is damaged: "+format, args...)
}
