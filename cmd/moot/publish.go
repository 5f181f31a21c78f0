package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/pubsub"
)

func newPublish(a *app) *cobra.Command {
	var file string
	cmd := a.command("publish TOPIC MESSAGE | publish TOPIC --file FILE", "Send a message to everybody who follows a topic", wants(1, 2), func(ctx context.Context, args []string) error {
		return a.publish(ctx, args, file)
	})
	cmd.Long = `Send a message of up to 64 KiB to everybody who follows TOPIC now, through whichever node; "moot subscribe TOPIC" prints it there. The node signs it.

Nothing is kept: who does not follow the topic at the time does not get it. What must not be lost is a record; see "moot put" and "moot watch".`
	cmd.Example = `  moot publish builds "commit 1f3a is green"
  moot publish alerts/disk --file alert.json
  df -h / | moot publish alerts/disk --file -`
	cmd.Flags().StringVarP(&file, "file", "f", "", "`FILE` with the message, - for standard input")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) publish(ctx context.Context, args []string, file string) error {
	topic := args[0]
	if err := checkTopic(topic); err != nil {
		return err
	}
	switch {
	case len(args) == 2 && file != "":
		return fault.New(fault.Invalid, "got a message and a file: give one of them")
	case len(args) == 1 && file == "":
		return advise(fault.New(fault.Invalid, "no message"), "usage: moot publish TOPIC MESSAGE | publish TOPIC --file FILE")
	}
	message, err := a.valueOf(ctx, args, file)
	if err != nil {
		return err
	}
	if len(message) > v1.MaxMessage {
		return advise(fault.New(fault.TooLarge, "the message has more than %d bytes", v1.MaxMessage), "put it into a record, and publish the record's key")
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	published, err := c.Publish(ctx, topic, message)
	if err != nil {
		return a.askFailed("publish on", topic, err)
	}
	return a.show(published, func() {
		a.printf("published on %s; of the peers connected to this node %s\n", printable(published.Topic), followersText(published.Followers))
	})
}

func followersText(n int) string {
	switch n {
	case 0:
		return "none follows it"
	case 1:
		return "1 follows it"
	}
	return fmt.Sprintf("%d follow it", n)
}

// checkTopic refuses what is no topic before anybody is asked.
func checkTopic(topic string) error {
	if err := pubsub.CheckTopic(topic); err != nil {
		return fault.As(fault.Invalid, err)
	}
	return nil
}
