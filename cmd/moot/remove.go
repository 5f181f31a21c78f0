package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
)

func newRemove(a *app) *cobra.Command {
	var opts client.PutOptions
	var sessionFile string
	consistency := newConsistency()
	cmd := a.command("rm KEY", "Remove a record", wants(1, 1), func(ctx context.Context, args []string) error {
		opts.Consistency = consistency.value
		return a.remove(ctx, args[0], sessionFile, opts)
	})
	cmd.Long = `Remove a record everywhere. A removal is a write of its own, newer than the value: a peer that comes back with the old value learns of it.

With --if-version the record is removed only in that version; otherwise the exit code is 5. Across a partition this is best effort.`
	cmd.Example = `  moot rm greeting
  moot rm greeting --consistency all`
	addChoice(cmd, consistency, "consistency", "copies that must be on disk first")
	addIfVersion(cmd, &opts.IfVersion)
	addSession(cmd, &sessionFile)
	cmd.ValidArgsFunction = a.completeKeys(1)
	return cmd
}

func (a *app) remove(ctx context.Context, key, sessionFile string, opts client.PutOptions) error {
	if err := errors.Join(checkKey(key), checkCondition(opts)); err != nil {
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
	written, err := s.DeleteRecord(ctx, key, opts)
	if err != nil {
		return a.writeFailed("remove", key, err)
	}
	return errors.Join(a.show(written, func() { a.printWritten("removed", written) }), s.keep())
}
