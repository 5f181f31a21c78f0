package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/node"
)

func newBackup(a *app) *cobra.Command {
	var passphraseFile string
	ledger, predecessors := true, true
	cmd := a.command("backup FILE", "Save a node to a file", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.backup(ctx, args[0], passphraseFile, node.BackupOptions{NoLedger: !ledger, NoPredecessors: !predecessors})
	})
	cmd.Long = `Save the node of the home to one file, whether it runs or not: its network, the peers that it knows, the records on its disk with their signatures, its copy of the ledger
and, encrypted with a passphrase, its keys: of its identity, the one that it votes with, those of accounts, and the address book. The passphrase comes from --passphrase-file, from
` + passphraseVariable + `, or is asked for on a terminal. Without one no key is in the backup, and a node that is restored from it has a new identity.

The ledger makes up most of a backup where it is large. With --ledger=false it is left out: a restored node fetches it from the others. Where there are none, as in a network of one validator, it is needed.
The ledgers that the present one goes on from ("moot help ledger recover") are saved with it, unless --predecessors=false is given: they are needed to let others enter, and to go on with imports from before.

With --api the node at that address is saved, without its keys. The file appears once it is whole.
A network keeps its records without backups; "moot export" saves those of all its peers.`
	cmd.Example = `  moot backup node.tar
  moot backup node.tar --passphrase-file passphrase`
	addPassphraseFile(cmd, &passphraseFile)
	cmd.Flags().BoolVar(&ledger, "ledger", true, "save the ledger, too")
	cmd.Flags().BoolVar(&predecessors, "predecessors", true, "save the ledgers that the present one goes on from, too")
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

// completeFiles lets the shell complete names of files.
func completeFiles(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// saved is what --json prints of a backup.
type saved struct {
	File     string  `json:"file"`
	Bytes    int64   `json:"bytes"`
	Identity bool    `json:"identity"` // its keys are in it
	Running  bool    `json:"running"`  // it was taken of a running node
	Seconds  float64 `json:"seconds"`
}

func (a *app) backup(ctx context.Context, file, passphraseFile string, opts node.BackupOptions) error {
	passphrase, err := a.passphrase(passphraseFile, true)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	opts.Passphrase, opts.Program = passphrase, thisBuild().Version
	began := time.Now()
	doc := saved{File: file, Identity: passphrase != ""}
	doc.Bytes, err = writeWhole(file, func(w io.Writer) error {
		doc.Running, err = a.writeBackup(ctx, w, opts)
		return err
	})
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	doc.Seconds = time.Since(began).Seconds()
	return a.show(doc, func() {
		a.printf("saved %s in %s\n", byteSize(doc.Bytes), file)
		if !doc.Identity {
			a.printf("its keys are not in it: a node that is restored from it has a new identity, and no vote\n")
		}
	})
}

// writeBackup writes a backup of the node at --api, of the one that runs on the home, or of the home.
func (a *app) writeBackup(ctx context.Context, w io.Writer, opts node.BackupOptions) (running bool, err error) {
	if a.api != "" {
		if opts.Passphrase != "" {
			return true, advise(fault.New(fault.Invalid, "the keys of a node are saved from its home only"), "leave --api or the passphrase out")
		}
		return true, a.downloadBackup(ctx, w, nil, opts)
	}
	if err := a.needHome(); err != nil {
		return false, err
	}
	_, _, err = node.RunningAPI(a.home)
	if fault.KindOf(err) == fault.NotFound {
		return false, node.Backup(ctx, a.home, w, opts)
	}
	if err != nil {
		return false, err
	}
	var keys *node.SealedKeys
	if opts.Passphrase != "" {
		sealed, err := node.SealKeys(a.home, opts)
		if err != nil {
			return true, err
		}
		keys = &sealed
	}
	err = a.downloadBackup(ctx, w, keys, opts)
	if errors.Is(err, client.ErrNotRunning) { // what it left in the home is from a crash
		return false, node.Backup(ctx, a.home, w, opts)
	}
	return true, err
}

// downloadBackup writes the backup that the running node makes of itself, with its keys unless they are nil.
func (a *app) downloadBackup(ctx context.Context, w io.Writer, keys *node.SealedKeys, opts node.BackupOptions) error {
	a.timeout = max(a.timeout, streamPatience)
	c, err := a.client()
	if err != nil {
		return err
	}
	what := client.BackupOptions{NoLedger: opts.NoLedger, NoPredecessors: opts.NoPredecessors}
	if keys == nil {
		return c.Backup(ctx, w, what)
	}
	r, pipe := io.Pipe()
	copied := make(chan error, 1)
	go func() {
		err := node.AddKeys(w, r, *keys)
		if err == nil {
			_, err = io.Copy(io.Discard, r) // the end of the archive
		}
		r.CloseWithError(err)
		copied <- err
	}()
	err = c.Backup(ctx, pipe, what)
	pipe.CloseWithError(err) // nil is the end
	if copyErr := <-copied; err == nil || errors.Is(err, copyErr) {
		err = copyErr
	}
	return err
}

// writeWhole writes a file that only the owner may read, and that appears once write has returned without an error. It returns its size.
func writeWhole(file string, write func(io.Writer) error) (size int64, err error) {
	partial := file + partialSuffix
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, advise(err, "check the file's name")
	}
	out := bufio.NewWriterSize(f, 1<<20)
	if err = write(out); err == nil {
		err = out.Flush()
	}
	if err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, errors.Join(err, os.Remove(partial))
	}
	return size, os.Rename(partial, file)
}

func newRestore(a *app) *cobra.Command {
	var passphraseFile string
	var opts node.RestoreOptions
	cmd := a.command("restore FILE", "Make a node from a backup", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.restore(ctx, args[0], passphraseFile, opts)
	})
	cmd.Long = `Make a node in a home that is missing or empty from what "moot backup" saved; "moot run" then runs it. Everything in the file is checked before the home appears.

When the keys are in the backup their passphrase is needed, and the node has the same identity: the one that was saved must not run any more. Otherwise, and with --new-identity, it has a
new one, and no other key of the old one. A restored node keeps the ledger, but does not vote: what its key signed since the backup is not known. "moot ledger validators resume" says how it votes again. The records of a backup that is older than a week are taken over as far as the network still knows them.`
	cmd.Example = `  moot restore node.tar --home /var/lib/moot
  moot restore node.tar --passphrase-file passphrase`
	addPassphraseFile(cmd, &passphraseFile)
	cmd.Flags().BoolVar(&opts.NewIdentity, "new-identity", false, "make a new identity though the backup has a key")
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func (a *app) restore(ctx context.Context, file, passphraseFile string, opts node.RestoreOptions) (err error) {
	if err := a.needHome(); err != nil {
		return err
	}
	opts.Passphrase = func() (string, error) { return a.passphrase(passphraseFile, false) }
	f, err := os.Open(file)
	if err != nil {
		return advise(fmt.Errorf("restore: %w", err), "check the file's name")
	}
	defer f.Close()
	done, err := node.Restore(ctx, a.home, bufio.NewReaderSize(f, 1<<20), opts)
	if err != nil {
		err = fmt.Errorf("restore %s: %w", quoteKey(file), err)
		if fault.KindOf(err) == fault.Forbidden {
			return advise(err, "give it in --passphrase-file or %s, or say --new-identity", passphraseVariable)
		}
		return err
	}
	return a.show(map[string]any{
		"home": a.home, "id": done.Home.ID.String(), "same_identity": done.SameIdentity, "network": done.Home.Network,
		"records": done.Manifest.Records, "taken": done.Manifest.Taken, "height": done.Height, "validator": done.Validator, "account_files": done.Accounts,
	}, func() {
		a.printf("restored %s of %s\n", plural(done.Manifest.Records, "record"), done.Manifest.Taken.Local().Format("2006-01-02 15:04:05"))
		if done.Height > 0 {
			a.printf("the ledger has blocks up to %d\n", done.Height)
		}
		if done.Validator {
			a.printf("it does not vote before its owner vouches that the old one is gone: see %q\n", a.withHome("moot ledger validators resume"))
		}
		identity := "the same as before"
		if !done.SameIdentity {
			identity = "new"
		}
		a.printf("peer id  %s (%s)\nnetwork  %s\nhome     %s\nnext     %s\n", done.Home.ID, identity, done.Home.Network, a.home, a.withHome("moot run"))
	})
}
