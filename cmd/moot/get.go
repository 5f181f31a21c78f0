package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func newGet(a *app) *cobra.Command {
	var output, sessionFile string
	var proof receiptOptions
	consistency := newConsistency()
	cmd := a.command("get KEY", "Print a record's value", nil, func(ctx context.Context, args []string) error {
		if err := proof.check(); err != nil {
			return err
		}
		if proof.wanted {
			return a.getReceipt(ctx, args[0], output, int64(proof.since))
		}
		return a.get(ctx, args[0], output, sessionFile, client.GetOptions{Consistency: consistency.value})
	})
	cmd.Long = `Print the newest value of a key that a majority of its holders knows: exactly its bytes.
On a terminal a newline is added, and binary values are refused.

With --consistency one the first holder that has the record answers, which may be an older version; with all, every holder must answer.
With --session, what is read is never older than what the session has written and read before; where that can't be had, the exit code is 4.
With --receipt the record is written with its author's signature and the proof of when it was first anchored in the ledger ("moot ledger anchor --record"): "moot ledger verify" checks that anywhere, without a node.`
	cmd.Example = `  moot get greeting
  moot get photo.jpg --output photo.jpg
  moot get config/site.yaml --json | jq .version
  moot get deeds/12 --receipt > deed.json`
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write the value to, whole or not at all; - for standard output, whatever the bytes")
	addChoice(cmd, consistency, "consistency", "holders that must answer")
	addSession(cmd, &sessionFile)
	proof.add(cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		for _, other := range []string{"session", "consistency"} { // a receipt is about the newest version that a majority of the holders knows
			if err := exclusive(cmd, "receipt", other); err != nil {
				return err
			}
		}
		return wants(1, 1)(cmd, args)
	}
	cmd.ValidArgsFunction = a.completeKeys(1)
	return cmd
}

func (a *app) get(ctx context.Context, key, output, sessionFile string, opts client.GetOptions) error {
	if err := checkKey(key); err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	s, err := openSession(c, sessionFile)
	if err != nil {
		return err
	}
	record, err := s.GetRecord(ctx, key, opts)
	if err := errors.Join(err, s.keep()); err != nil {
		err = a.askFailed("get", key, err)
		if fault.KindOf(err) == fault.NotFound && !strings.HasPrefix(key, "kad/") { // which are not listed
			return advise(err, `"moot ls" lists the keys`)
		}
		return err
	}
	if record.Author == "" {
		a.notef("unsigned: anybody who speaks Kademlia to this network may have put it")
	}
	if output != "" && output != "-" {
		if err := writeOutput(output, record.Value); err != nil {
			return fmt.Errorf("write the value: %w", err)
		}
		if !a.json {
			return nil
		}
	}
	if a.json {
		return a.printJSON(recordDocument(record))
	}
	return a.printValue(record.Value, output == "-")
}

// printValue writes exactly the bytes of value; on a terminal, unless raw, text alone, with a newline at its end.
func (a *app) printValue(value []byte, raw bool) error {
	if a.stdoutTerminal && !raw {
		if !isText(value) {
			return advise(fault.New(fault.Invalid, "print the value: its %s are not text", plural(len(value), "byte")),
				"save it with --output FILE")
		}
		if !bytes.HasSuffix(value, []byte("\n")) {
			value = append(value, '\n')
		}
	}
	if _, err := a.stdout.Write(value); err != nil {
		return fmt.Errorf("print the value: %w", err)
	}
	return nil
}

// isText tells whether a terminal can show value without harm.
func isText(value []byte) bool {
	if !utf8.Valid(value) {
		return false
	}
	for _, b := range value {
		if b < ' ' && b != '\n' && b != '\t' && b != '\r' || b == 0x7f {
			return false
		}
	}
	return true
}

// recordDocument returns a record as --json writes it.
func recordDocument(r client.Record) v1.Record {
	doc := v1.Record{Key: r.Key, Version: r.Version, Author: r.Author, Expires: r.Expires, Copies: r.Copies}
	doc.SetValue(r.Value)
	return doc
}

// writeOutput writes value to path whole or not at all. A file that is there keeps its mode, a new one gets what the umask
// leaves; what is no file, such as a pipe or device, is written to as it is.
func writeOutput(path string, value []byte) (err error) {
	st, statErr := os.Stat(path)
	if statErr == nil && !st.Mode().IsRegular() {
		return os.WriteFile(path, value, 0)
	}
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"-"+rand.Text())
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temporary)
		}
	}()
	if statErr == nil {
		err = f.Chmod(st.Mode().Perm())
	}
	_, writeErr := f.Write(value)
	if err := errors.Join(err, writeErr, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
