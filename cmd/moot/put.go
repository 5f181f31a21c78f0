package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
)

func newPut(a *app) *cobra.Command {
	var file, sessionFile string
	var opts client.PutOptions
	consistency := newConsistency()
	cmd := a.command("put KEY VALUE | put KEY --file FILE", "Store a record", nil, func(ctx context.Context, args []string) error {
		opts.Consistency = consistency.value
		return a.put(ctx, args, file, sessionFile, opts)
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		given := cmd.Flags().Changed("file")
		switch {
		case given && len(args) == 2:
			return wrongArgs(cmd, "got a value and a file")
		case given && len(args) == 1, !given && len(args) == 2:
			return nil
		}
		return wrongArgs(cmd, "want a key and a value, got "+plural(len(args), "argument"))
	}
	cmd.Long = `Store a record under a key. The newest write of a key wins, on every peer. The answer says on how many disks the record is.

A key is 1 to 1024 bytes of UTF-8 without control characters; a value is at most 1 MiB of any bytes.
With --consistency quorum, the default, the command is done when a majority of the copies wanted is on disk; with one, when a single copy is;
with all, when every copy is made.

With --if-version or --if-absent the record is stored only over that version, or only where there is none; otherwise the exit code is 5. Writers
who reach one another exclude one another so; across a partition two may succeed, and the later one wins.`
	cmd.Example = `  moot put greeting "hello there"
  moot put config/site.yaml --file site.yaml
  date | moot put last-backup --file - --ttl 48h --consistency all
  moot put leader "$HOSTNAME" --if-absent --ttl 30s`
	cmd.Flags().StringVarP(&file, "file", "f", "", "`FILE` with the value, - for standard input")
	cmd.Flags().DurationVar(&opts.TTL, "ttl", 0, "how long the record lives (default: for ever)")
	addChoice(cmd, consistency, "consistency", "copies that must be on disk first")
	addIfVersion(cmd, &opts.IfVersion)
	cmd.Flags().BoolVar(&opts.IfAbsent, "if-absent", false, "store it only if there is no record of the key")
	addSession(cmd, &sessionFile)
	cmd.ValidArgsFunction = a.completeKeys(1)
	return cmd
}

// newConsistency returns the option of every write.
func newConsistency() *choice { return newChoice("quorum", "one", "quorum", "all") }

// addIfVersion declares the option of writes that depend on a version.
func addIfVersion(cmd *cobra.Command, version *string) {
	cmd.Flags().StringVar(version, "if-version", "", "do it only if `VERSION` is the newest")
}

// checkCondition refuses conditions that no record can meet.
func checkCondition(opts client.PutOptions) error {
	if opts.IfVersion == "" {
		return nil
	}
	if opts.IfAbsent {
		return fault.New(fault.Invalid, "options --if-version and --if-absent exclude one another")
	}
	if _, err := records.ParseVersion(opts.IfVersion); err != nil {
		return advise(fault.New(fault.Invalid, "option --if-version: %s is not a version", quoteKey(opts.IfVersion)), `"moot get KEY --json" tells it`)
	}
	return nil
}

func (a *app) put(ctx context.Context, args []string, file, sessionFile string, opts client.PutOptions) error {
	key := args[0]
	if err := errors.Join(checkKey(key), checkTTL(opts.TTL), checkCondition(opts)); err != nil {
		return err
	}
	value, err := a.valueOf(ctx, args, file)
	if err != nil {
		return err
	}
	if err := checkValue(value); err != nil {
		return advise(err, "split it, or store it elsewhere and put its address")
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	s, err := openSession(c, sessionFile)
	if err != nil {
		return err
	}
	written, err := s.PutRecord(ctx, key, value, opts)
	if err != nil {
		return a.writeFailed("store", key, err)
	}
	return errors.Join(a.show(written, func() { a.printWritten("stored", written) }), s.keep())
}

// writeFailed is askFailed for writes, which may depend on a condition.
func (a *app) writeFailed(what, key string, err error) error {
	err = a.askFailed(what, key, err)
	if fault.KindOf(err) == fault.Conflict {
		return advise(err, "read it again: moot get %s --json", shellQuote(key))
	}
	return err
}

// printWritten says what a write did: "stored KEY version V on 3 of 5".
func (a *app) printWritten(done string, w v1.Written) {
	a.printf("%s %s version %s on %s\n", done, printable(w.Key), printable(w.Version), copiesText(w.Copies.Stored, w.Copies.Wanted, w.Copies.Configured))
}

// valueOf returns the value given as argument, in a file, or on stdin. It reads little more than a value can hold.
func (a *app) valueOf(ctx context.Context, args []string, file string) ([]byte, error) {
	if len(args) == 2 {
		return []byte(args[1]), nil
	}
	in := abandonable(ctx, a.stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, advise(fmt.Errorf("read the value: %w", err), "check --file")
		}
		defer f.Close()
		in = f
	}
	value, err := io.ReadAll(io.LimitReader(in, v1.MaxValue+1))
	if err != nil {
		return nil, fmt.Errorf("read the value: %w", err)
	}
	return value, nil
}
