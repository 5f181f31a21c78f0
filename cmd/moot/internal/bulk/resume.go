package bulk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/folkmoot/folkmoot/fault"
)

// ResumeExport makes f, an export that may have been cut off at any byte, ready to be gone on with: a line that is not whole is cut off, and f stands at its end. It
// returns the key of the last whole line, empty when there is none. A file that is no export is fault.Conflict and is not changed.
func ResumeExport(f *os.File) (last string, err error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", fmt.Errorf("read the export: %w", err)
	}
	whole, line, err := lastLine(f, end)
	if err != nil {
		return "", err
	}
	if whole > 0 {
		record, err := parseJSON(line)
		if err != nil || record.Key == "" {
			return "", fault.New(fault.Conflict, "the last line of %s is no exported record", f.Name())
		}
		last = record.Key
	}
	if err := f.Truncate(whole); err != nil {
		return "", fmt.Errorf("go on with the export: %w", err)
	}
	_, err = f.Seek(whole, io.SeekStart)
	return last, err
}

// lastLine returns the last line of the first end bytes of f that has an end, without that, and where the next one begins: 0 when there is no whole line.
func lastLine(f io.ReaderAt, end int64) (next int64, line []byte, err error) {
	// Two lines at most are looked at: one that was cut off, and the one before.
	from := max(0, end-2*(MaxLine+1))
	text := make([]byte, end-from)
	if _, err := f.ReadAt(text, from); err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, fmt.Errorf("read the export: %w", err)
	}
	last := bytes.LastIndexByte(text, '\n')
	if last < 0 {
		if from > 0 {
			return 0, nil, fault.New(fault.Conflict, "the export ends in a line of more than %d bytes", MaxLine)
		}
		return 0, nil, nil
	}
	begin := bytes.LastIndexByte(text[:last], '\n') + 1
	return from + int64(last) + 1, text[begin:last], nil
}
