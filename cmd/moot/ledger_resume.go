package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/node"
)

func newValidatorsResume(a *app) *cobra.Command {
	var gone, lost bool
	cmd := a.command("resume --accept-old-gone [--accept-lost-since]", "Let a restored validator vote again", wants(0, 0), func(context.Context, []string) error {
		return a.resumeValidator(gone, lost)
	})
	cmd.Long = `Let the validator of --home vote again after it was restored from a backup, or after its key was seen to sign elsewhere. The node must not run meanwhile.

A key that signs two blocks of one height does harm, and loses its power. So you vouch here, with --accept-old-gone, that nothing else signs with the key any more, and never will: that the old node is off, and
its disk gone or wiped. The node follows the ledger then, and votes again by itself with the first block that is later by two minutes, and three in a row without the key: whatever the key signed before is for no later
block. Should the key be seen to sign meanwhile, it stays without a vote, and you have to vouch again. This machine's clock must be right to within a minute.

Where no block is made without the validator, as in a network of fewer than four, it would wait for ever. With --accept-lost-since you vouch, too, that whatever the key signed since the backup is lost, and nobody
has it. The node fetches what others have then, and votes when for 30 s ("moot run --ledger-resume-wait") none of the nodes that answer had a block that it lacks. Where none answers at all it votes after that time if
it is the only validator as far as its own blocks tell. "moot ledger" says what it waits for, and the log when it votes, and why.

In a network of one validator you give up the blocks since the backup that nobody has who answers: whoever has a receipt of one of them has one that this ledger contradicts. So have the other nodes run. Should one turn
up later that has other blocks, signed by the key, the ledger stops at this node and says that there are two histories. Where there are other validators after the last block, they know what was signed, and this is
accepted only of a backup that was taken while the node did not run, if no later signature of the key is met. A key that is no validator's any more stays without a vote. In all other cases the operators vote in a
new key, or go on without the old one with "moot ledger recover".`
	cmd.Example = `  moot restore node.tar --home /var/lib/moot
  moot ledger validators resume --accept-old-gone --home /var/lib/moot
  moot run --home /var/lib/moot`
	cmd.Flags().BoolVar(&gone, "accept-old-gone", false, "vouch that nothing else signs with the key, and never will")
	cmd.Flags().BoolVar(&lost, "accept-lost-since", false, "vouch that what the key signed since the backup is lost")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) resumeValidator(gone, lost bool) error {
	if !gone {
		return advise(fault.New(fault.Invalid, "let the validator vote again: you must vouch that nothing else signs with its key"), "read \"moot help ledger validators resume\", and say --accept-old-gone")
	}
	if err := a.needHome(); err != nil {
		return err
	}
	if err := node.ResumeValidator(a.home, node.ResumeOptions{GivenUp: lost}); err != nil {
		return fmt.Errorf("let the validator vote again: %w", err)
	}
	return a.show(map[string]any{"home": a.home, "lost_since": lost}, func() {
		if lost {
			a.printf("it votes once it runs and has what others have that answer, if it is the only validator then or its backup was taken while it did not run; otherwise when blocks were made without it for two minutes\n")
		} else {
			a.printf("it votes once it runs and blocks were made without it for two minutes\n")
		}
		a.printf("next     %s\n", a.withHome("moot run"))
	})
}
