package accounts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	bookFile = "book.json"
	// bookVersion is that of the document.
	bookVersion = 1
	// maxBook is the most bytes of an address book, and maxEntries the most of its entries.
	maxBook    = 8 << 20
	maxEntries = 50_000
)

// Book maps names to what they stand for: an account, moot1…, or an asset, CODE@moot1….
type Book map[string]string

// bookDocument is the book on disk.
type bookDocument struct {
	Version int               `json:"version"`
	Entries map[string]string `json:"entries"`
}

// ParseBook reads an address book. Errors are of kind fault.Invalid, or fault.TooLarge.
func ParseBook(data []byte) (Book, error) {
	if len(data) > maxBook {
		return nil, fault.New(fault.TooLarge, "an address book of more than %d bytes", maxBook)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var doc bookDocument
	if err := d.Decode(&doc); err != nil {
		return nil, fault.New(fault.Invalid, "it is not an address book: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "something follows the address book")
	}
	if doc.Version != bookVersion {
		return nil, fault.New(fault.Invalid, "an address book of version %d: this program reads version %d", doc.Version, bookVersion)
	}
	if len(doc.Entries) > maxEntries {
		return nil, fault.New(fault.TooLarge, "an address book of %d entries: at most %d", len(doc.Entries), maxEntries)
	}
	for name, target := range doc.Entries {
		if err := errors.Join(CheckName(name), checkTarget(target)); err != nil {
			return nil, fault.New(fault.Invalid, "entry %q: %w", name, err)
		}
	}
	if doc.Entries == nil {
		doc.Entries = make(map[string]string)
	}
	return doc.Entries, nil
}

// checkTarget checks that an entry stands for an account or an asset, in the one way in which each is written.
func checkTarget(target string) error {
	if strings.Contains(target, "@") {
		asset, err := ledger.ParseAssetID(target)
		if err == nil && asset.String() != target {
			err = fault.New(fault.Invalid, "%q is written otherwise than it should be", target)
		}
		return err
	}
	account, err := ledger.ParseAccountID(target)
	if err == nil && account.String() != target {
		err = fault.New(fault.Invalid, "%q is written otherwise than it should be", target)
	}
	return err
}

// Encode returns the document of the book.
func (b Book) Encode() ([]byte, error) {
	data, err := json.MarshalIndent(bookDocument{bookVersion, b}, "", "  ")
	return append(data, '\n'), err
}

// Names returns the names in order.
func (b Book) Names() []string { return slices.Sorted(maps.Keys(b)) }

// Book reads the address book, which is empty where there is none.
func (f Folder) Book() (Book, error) {
	path := filepath.Join(string(f), bookFile)
	data, err := readSmall(path, maxBook)
	if errors.Is(err, fs.ErrNotExist) {
		return Book{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the address book: %w", err)
	}
	book, err := ParseBook(data)
	if err != nil {
		return nil, fmt.Errorf("read the address book %s: %w", path, err)
	}
	return book, nil
}

// Add gives an account or an asset a name. It is fault.Conflict when the name stands for something else; to give it once more is no error.
func (f Folder) Add(name, target string) error {
	if err := checkTarget(target); err != nil {
		return err
	}
	book, err := f.Book()
	if err != nil {
		return err
	}
	if book[name] == target {
		return nil
	}
	if err := f.free(name); err != nil {
		return err
	}
	book[name] = target
	return f.write(book)
}

// Remove takes a name out of the book. It is fault.NotFound when it is not there.
func (f Folder) Remove(name string) error {
	book, err := f.Book()
	if err != nil {
		return err
	}
	if book[name] == "" {
		return fault.New(fault.NotFound, "%q is not in the address book", name)
	}
	delete(book, name)
	return f.write(book)
}

func (f Folder) write(book Book) error {
	if len(book) > maxEntries {
		return fault.New(fault.Full, "the address book has %d entries: at most %d", len(book)-1, maxEntries)
	}
	data, err := book.Encode()
	if err == nil {
		err = os.MkdirAll(string(f), 0o700)
	}
	if err == nil {
		err = atomicfile.Write(filepath.Join(string(f), bookFile), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the address book: %w", err)
	}
	return nil
}

// readSmall reads a file that should have at most max bytes, and one more if it has more.
func readSmall(path string, max int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, max+1))
}
