package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// leftFile marks the home of a node that has left its network for good.
const leftFile = "left.json"

type leftDocument struct {
	Format int       `json:"format"`
	Left   time.Time `json:"left"`
}

func markLeft(home string, at time.Time) error {
	if err := writeJSON(filepath.Join(home, leftFile), leftDocument{Format: homeFormat, Left: at.UTC().Truncate(time.Second)}); err != nil {
		return fmt.Errorf("note that the node has left: %w", err)
	}
	return nil
}

// CheckNotLeft is fault.Conflict when the node of home has left its network for good.
func CheckNotLeft(home string) error {
	var doc leftDocument
	err := readJSON(filepath.Join(home, leftFile), &doc)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read whether the node has left: %w", err)
	}
	return fault.New(fault.Conflict, "the node of home %s left its network for good at %s: --rejoin lets it enter again; or make a new one in another --home",
		home, doc.Left.Format(time.RFC3339))
}

// unmarkLeft takes back what markLeft did, if it did.
func unmarkLeft(home string) error {
	if err := os.Remove(filepath.Join(home, leftFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("note that the node is back: %w", err)
	}
	return nil
}
