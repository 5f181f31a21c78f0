package bulk

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/folkmoot/folkmoot/fault"
)

// MaxLine is the length limit of an input line in bytes. The largest value fits, however it is escaped.
const MaxLine = 8 << 20

// Position is a place between two lines of an input, with the hash of everything before it: a later run can tell whether it
// reads the same input, though its end may differ.
type Position struct {
	Line   int64 // lines before
	Offset int64 // bytes before
	Sum    [sha256.Size]byte
}

// errLong is the error for one line over MaxLine; the lines after it can be read.
var errLong = fmt.Errorf("the line is longer than %d bytes", MaxLine)

var byteOrderMark = []byte("\xef\xbb\xbf")

// lines reads an input line by line.
type lines struct {
	r   *bufio.Reader
	sum hash.Hash
	at  Position
	buf []byte
}

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
}

// skipTo reads on to p. It is fault.Conflict when what is before p is not what was there when p was taken.
func (l *lines) skipTo(p Position) error {
	if p.Offset == 0 {
		return nil
	}
	n, err := io.CopyN(l.sum, l.r, p.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the input: %w", err)
	}
	if n != p.Offset || !bytes.Equal(l.sum.Sum(nil), p.Sum[:]) {
		return fault.New(fault.Conflict, "the first %d lines are not those that were imported", p.Line)
	}
	l.at = p
	return nil
}

// next returns the next line without its end, and leaves l.at behind it. The line is valid until the next call. The error is errLong for a line
// that is too long, io.EOF at the end.
func (l *lines) next() ([]byte, error) {
	l.buf = l.buf[:0]
	begun, long := false, false
	for {
		part, err := l.r.ReadSlice('\n')
		begun = begun || len(part) > 0
		l.sum.Write(part)
		l.at.Offset += int64(len(part))
		if long = long || len(l.buf)+len(part) > MaxLine; !long {
			l.buf = append(l.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && !begun:
			return nil, io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("read the input: %w", err)
		}
		break
	}
	first := l.at.Line == 0
	l.at.Line++
	l.sum.Sum(l.at.Sum[:0])
	if long {
		return nil, errLong
	}
	line := bytes.TrimSuffix(bytes.TrimSuffix(l.buf, []byte("\n")), []byte("\r"))
	if first {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	return line, nil
}
