package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
)

// prefix is that of all keys of this program.
const prefix = "orders/"

// keep puts a record and gets it back.
func keep(ctx context.Context, store *records.Store, out io.Writer) error {
	written, err := store.Put(ctx, prefix+"1", []byte("two loaves"), records.PutOptions{})
	if err != nil {
		return fmt.Errorf("put %s1: %w", prefix, err)
	}
	fmt.Fprintf(out, "put %s1: %d of %d copies\n", prefix, written.Stored, written.Wanted)
	record, err := store.Get(ctx, prefix+"1", records.GetOptions{Session: written.Session})
	if err != nil {
		return fmt.Errorf("get %s1: %w", prefix, err)
	}
	fmt.Fprintf(out, "got %s = %s\n", record.Key, record.Value)
	return nil
}

// watch follows what others order, stops, and goes on where it stopped: what was ordered meanwhile is not missed.
func watch(ctx context.Context, store *records.Store, out io.Writer) error {
	cursor, err := await(ctx, store, "", prefix+"2", func() error {
		_, err := store.Put(ctx, prefix+"2", []byte("a cake"), records.PutOptions{})
		return err
	}, out)
	if err != nil {
		return fmt.Errorf("watch %s: %w", prefix, err)
	}
	// Nobody watches now. A program that ends here keeps the cursor in a file.
	if _, err := store.Put(ctx, prefix+"3", []byte("ten rolls"), records.PutOptions{}); err != nil {
		return fmt.Errorf("put %s3: %w", prefix, err)
	}
	if _, err := await(ctx, store, cursor, prefix+"3", func() error { return nil }, out); err != nil {
		return fmt.Errorf("resume the watch of %s: %w", prefix, err)
	}
	return nil
}

// await watches from a cursor on until a key changes, calls begun once it watches, and returns from where to go on.
func await(ctx context.Context, store *records.Store, cursor, key string, begun func() error, out io.Writer) (next string, err error) {
	w, err := store.Watch(ctx, records.WatchOptions{Prefix: prefix, Values: true, Cursor: cursor})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := begun(); err != nil {
		return "", err
	}
	for {
		e, err := w.Next(ctx)
		switch {
		case err != nil:
			return "", err
		case e.Kind == records.Lost:
			return "", fault.New(fault.Unavailable, "changes may be missing: %s; list the records anew", e.Reason)
		case e.Kind == records.Changed && e.Record.Key == key: // others may be told twice
			fmt.Fprintf(out, "saw %s = %s\n", key, e.Record.Value)
			return w.Cursor(), nil
		}
	}
}
