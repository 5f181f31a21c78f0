package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

func newLedgerAnchor(a *app) *cobra.Command {
	var s sending
	var by, note string
	var what anchored
	cmd := a.command("anchor FILE|- --by ACCOUNT | anchor --record KEY --by ACCOUNT | anchor --digest SHA256 --by ACCOUNT", "Prove that a file or a record was known now", nil, func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			what.file = args[0]
		}
		return a.anchor(ctx, what, by, note, s)
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := exclusive(cmd, "digest", "record"); err != nil {
			return err
		}
		if cmd.Flags().Changed("digest") || cmd.Flags().Changed("record") {
			return wants(0, 0)(cmd, args)
		}
		return wants(1, 1)(cmd, args)
	}
	cmd.Long = `Put the SHA-256 of a file into the ledger. The file itself stays where it is, and nobody learns what is in it; with the file, the receipt proves that the account knew it at the time of the block.

With --record it is the SHA-256 of a record of the network, as its author has signed it, in the newest version; "moot get KEY --receipt" then writes the record with the proof. A version that comes later is another one, and not anchored.`
	cmd.Example = `  moot ledger anchor contract.pdf --by ann --note "contract with bob"
  tar c folder | moot ledger anchor - --by ann
  moot ledger anchor --record deeds/12 --by ann`
	a.addAccountOption(cmd, &by, "by", "`ACCOUNT` that says so")
	cmd.Flags().StringVar(&note, "note", "", "`TEXT` with it, up to 64 bytes that everybody can read")
	cmd.Flags().StringVar(&what.record, "record", "", "the record of this `KEY`, instead of a file")
	cmd.Flags().StringVar(&what.digest, "digest", "", "the `SHA256` itself, in hexadecimal, instead of a file")
	addSending(cmd, &s)
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

// anchored is what is to be anchored: one of the three.
type anchored struct {
	file, record, digest string
}

func (a *app) anchor(ctx context.Context, what anchored, by, note string, s sending) error {
	if by == "" {
		return errMissing("--by", "the account that says so")
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	account, err := u.account("option --by", by)
	if err != nil {
		return err
	}
	op := &ledger.Anchor{By: account, Note: note}
	switch {
	case what.file != "":
		op.Digest, err = a.digestOf(ctx, what.file)
	case what.record != "":
		_, op.Digest, err = a.envelope(ctx, u.client, what.record)
	default:
		op.Digest, err = ledger.ParseHash(what.digest)
	}
	if err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	return u.do(ctx, s, "anchored "+op.Digest.String(), op)
}

// digestOf returns the SHA-256 of a file, or of stdin for "-".
func (a *app) digestOf(ctx context.Context, file string) (sum ledger.Hash, err error) {
	in := abandonable(ctx, a.stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return sum, advise(err, "check the file's name")
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil && st.IsDir() {
			return sum, fault.New(fault.Invalid, "%s is a folder", file)
		}
		in = f
	}
	h := sha256.New()
	if _, err := io.Copy(h, &stoppable{ctx, in}); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}

// stoppable is a reader that ends with its context: a large file takes long.
type stoppable struct {
	ctx context.Context
	io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.Reader.Read(p)
}

// readInput reads a small file, or stdin for "-", of at most most bytes.
func (a *app) readInput(ctx context.Context, file string, most int64) ([]byte, error) {
	in := abandonable(ctx, a.stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, advise(err, "check the file's name")
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(data)) > most {
		err = fault.New(fault.TooLarge, "%s has more than %d bytes", file, most)
	}
	return data, err
}

// errMissing is the error for an option that must be given.
func errMissing(option, what string) error {
	return fault.New(fault.Invalid, "option %s is missing: name %s", option, what)
}
