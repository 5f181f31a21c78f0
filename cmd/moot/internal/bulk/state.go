package bulk

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
)

// State is what an import that did not finish leaves behind, so that a later run can go on.
type State struct {
	// Network is the id of the network that was written to.
	Network string
	// Format is the input's format, never Auto.
	Format   Format
	Progress Progress
}

// stateVersion is the version of the state file; others are refused.
const stateVersion = 1

// Bounds of a state file in bytes.
const (
	maxState     = 4 << 10
	maxNetworkID = 64
)

type stateDocument struct {
	Version int    `json:"version"`
	Network string `json:"network"`
	Format  Format `json:"format"`
	Line    int64  `json:"line"`
	Offset  int64  `json:"offset"`
	SHA256  string `json:"sha256"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"`
	Skipped int64  `json:"skipped"`
}

// Save writes s to path, whole even after a crash.
func (s State) Save(path string) error {
	data, err := s.encode()
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path, data, 0o600); err != nil {
		return fmt.Errorf("keep the import's progress: %w", err)
	}
	return nil
}

// LoadState reads what Save wrote. It is fault.NotFound when there is no file, fault.Invalid when it is damaged.
func LoadState(path string) (State, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, fault.New(fault.NotFound, "no unfinished import is known: %s does not exist", path)
	}
	if err != nil {
		return State{}, fmt.Errorf("read the import's progress: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return State{}, fmt.Errorf("read the import's progress: %w", err)
	}
	s, err := decodeState(data)
	if err != nil {
		return State{}, fmt.Errorf("read the import's progress: %s: %w", path, err)
	}
	return s, nil
}

func (s State) encode() ([]byte, error) {
	p := s.Progress
	b, err := json.MarshalIndent(stateDocument{
		Version: stateVersion, Network: s.Network, Format: s.Format, Line: p.At.Line, Offset: p.At.Offset,
		SHA256: hex.EncodeToString(p.At.Sum[:]), Records: p.Records, Bytes: p.Bytes, Skipped: p.Skipped,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the import's progress: %w", err)
	}
	return append(b, '\n'), nil
}

func decodeState(data []byte) (State, error) {
	if len(data) > maxState {
		return State{}, fault.New(fault.Invalid, "longer than %d bytes", maxState)
	}
	var doc stateDocument
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return State{}, fault.New(fault.Invalid, "damaged: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return State{}, fault.New(fault.Invalid, "damaged: more than one document")
	}
	s := State{Network: doc.Network, Format: doc.Format}
	s.Progress = Progress{At: Position{Line: doc.Line, Offset: doc.Offset}, Records: doc.Records, Bytes: doc.Bytes, Skipped: doc.Skipped}
	sum, err := hex.DecodeString(doc.SHA256)
	switch {
	case doc.Version != stateVersion:
		return State{}, fault.New(fault.Invalid, "version %d; this program reads version %d", doc.Version, stateVersion)
	case len(doc.Network) > maxNetworkID:
		return State{}, fault.New(fault.Invalid, "damaged: network %q", doc.Network)
	case doc.Format != JSONLines && doc.Format != TSV:
		return State{}, fault.New(fault.Invalid, "damaged: format %q", doc.Format)
	case min(doc.Line, doc.Offset, doc.Records, doc.Bytes, doc.Skipped) < 0:
		return State{}, fault.New(fault.Invalid, "damaged: a negative number")
	case err != nil || copy(s.Progress.At.Sum[:], sum) != len(sum) || len(sum) != len(s.Progress.At.Sum):
		return State{}, fault.New(fault.Invalid, "damaged: sha256 %q", doc.SHA256)
	}
	return s, nil
}
