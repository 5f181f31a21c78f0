package main

import (
	"context"
	"fmt"
	"io"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// prefix is that of all keys of this program.
const prefix = "orders/"

// keep puts a record and gets it back, in one session: what it reads is never older than what it wrote, whichever node answers.
func keep(ctx context.Context, c *client.Client, out io.Writer) error {
	session := c.NewSession("")
	written, err := session.PutRecord(ctx, prefix+"1", []byte("two loaves"), client.PutOptions{})
	if err != nil {
		return fmt.Errorf("put %s1: %w", prefix, err)
	}
	fmt.Fprintf(out, "put %s1: %s copies\n", prefix, written.Copies)
	record, err := session.GetRecord(ctx, prefix+"1", client.GetOptions{})
	if err != nil {
		return fmt.Errorf("get %s1: %w", prefix, err)
	}
	fmt.Fprintf(out, "got %s = %s\n", record.Key, record.Value)
	return nil
}

// watch follows what others order, stops, and goes on where it stopped: what was ordered meanwhile is not missed.
func watch(ctx context.Context, c *client.Client, out io.Writer) error {
	// The first event says no more than that the watch has begun; what is put from then on is told.
	begun := false
	cursor, err := follow(ctx, c, "", func(e v1.Event) (bool, error) {
		switch {
		case !begun:
			begun = true
			_, err := c.PutRecord(ctx, prefix+"2", []byte("a cake"), client.PutOptions{})
			return true, err
		case e.Event != v1.EventChange || e.Key != prefix+"2":
			return true, nil
		}
		fmt.Fprintf(out, "saw %s = %s\n", e.Key, e.Bytes())
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", prefix, err)
	}
	// Nobody watches now. A program that ends here keeps the cursor in a file.
	if _, err := c.PutRecord(ctx, prefix+"3", []byte("ten rolls"), client.PutOptions{}); err != nil {
		return fmt.Errorf("put %s3: %w", prefix, err)
	}
	_, err = follow(ctx, c, cursor, func(e v1.Event) (bool, error) {
		if e.Event != v1.EventChange || e.Key != prefix+"3" {
			return true, nil // events may be told twice
		}
		fmt.Fprintf(out, "resumed: saw %s = %s\n", e.Key, e.Bytes())
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("resume the watch of %s: %w", prefix, err)
	}
	return nil
}

// follow calls take for what changes from a cursor on until it wants no more, and returns from where to go on.
func follow(ctx context.Context, c *client.Client, cursor string, take func(v1.Event) (more bool, err error)) (string, error) {
	for e, err := range c.Events(ctx, client.WatchOptions{Prefix: prefix, Values: true, Cursor: cursor}) {
		switch {
		case fault.KindOf(err) == fault.Unavailable && ctx.Err() == nil && cursor != "":
			continue // the stream broke off: the client takes it up where it was
		case err != nil:
			return cursor, err
		}
		cursor = e.Cursor
		if e.Event == v1.EventLost {
			return cursor, fault.New(fault.Unavailable, "changes may be missing: %s; list the records anew", e.Detail)
		}
		if more, err := take(e); err != nil || !more {
			return cursor, err
		}
	}
	return cursor, ctx.Err()
}
