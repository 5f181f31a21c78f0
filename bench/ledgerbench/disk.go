package ledgerbench

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ledgerFolder is the folder of a home that has the ledger.
const ledgerFolder = "ledger"

// Disk is what a transfer takes on the disk of a node, in bytes.
type Disk struct {
	// Transfers is how many were made while the files grew.
	Transfers int `json:"transfers"`
	// Parts are by folder: state the ledger's own, chain and wal CometBFT's.
	Parts map[string]float64 `json:"bytes_per_transfer"`
	Total float64            `json:"total_bytes_per_transfer"`
}

// sizes returns the bytes of the files in each folder of a folder.
func sizes(dir string) (map[string]int64, error) {
	parts := make(map[string]int64)
	folders, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(dir, folder.Name()), func(_ string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) { // a node at work removes files
				return nil
			}
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil {
				parts[folder.Name()] += info.Size()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// grown returns by how much the first node's files have grown for each of some transfers.
func grown(before, after map[string]int64, transfers int) *Disk {
	d := &Disk{Transfers: transfers, Parts: make(map[string]float64)}
	if transfers == 0 {
		return d
	}
	for part, size := range after {
		bytes := float64(size-before[part]) / float64(transfers)
		d.Parts[part] = bytes
		d.Total += bytes
	}
	return d
}
