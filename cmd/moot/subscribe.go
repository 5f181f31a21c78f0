package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func newSubscribe(a *app) *cobra.Command {
	s := subscribing{app: a}
	cmd := a.command("subscribe TOPIC", "Print the messages of a topic as they are published, anywhere in the network", wants(1, 1), func(ctx context.Context, args []string) error {
		s.topic = args[0]
		return s.run(ctx)
	})
	cmd.Long = `Print the messages of TOPIC from now on, each on a line of its own, until it is stopped or --count messages came. Messages are signed by the nodes through which they were published;
what a line says beside the message is in --author.

Messages that were published before are not printed, nor those that come while the node can't be reached. A node keeps 1,024 messages for a subscriber that is slow, and says how many it dropped beyond.
With --json each message is a document on a line of its own.`
	cmd.Example = `  moot subscribe builds
  moot subscribe alerts/disk --count 1
  moot subscribe builds --json | while read -r message; do ./handle "$message"; done`
	cmd.Flags().IntVarP(&s.count, "count", "c", 0, "stop after `N` messages (default: never)")
	cmd.Flags().BoolVar(&s.author, "author", false, "print before each message when, and through which peer, it was published")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// subscribing is a subscription of the command line.
type subscribing struct {
	*app
	topic  string
	count  int
	author bool

	shown  int
	begun  bool // the node has followed the topic before
	broken bool // the node does not answer
}

func (s *subscribing) run(ctx context.Context) error {
	if s.count < 0 {
		return fault.New(fault.Invalid, "option --count: %d is negative", s.count)
	}
	if err := checkTopic(s.topic); err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	for m, err := range c.Messages(ctx, s.topic, s.subscribed) {
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!s.begun || fault.KindOf(err) != fault.Unavailable):
			return s.askFailed("subscribe to", s.topic, err)
		case err != nil:
			if !s.broken {
				s.notef("moot: %s; messages are missed until the node answers again", oneLine(err.Error()))
			}
			s.broken = true
			continue
		}
		if err := s.print(&m); err != nil {
			return fmt.Errorf("print the message: %w", err)
		}
		if s.shown++; s.shown == s.count {
			return nil
		}
	}
	return nil
}

// subscribed is told that the node follows the topic.
func (s *subscribing) subscribed() {
	switch {
	case s.broken:
		s.notef("moot: the node answers again")
	case !s.begun:
		s.notef("moot: following %s", printable(s.topic))
	}
	s.begun, s.broken = true, false
}

func (s *subscribing) print(m *v1.Message) error {
	if s.json {
		enc := json.NewEncoder(s.stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(m)
	}
	if m.Missed > 0 {
		s.notef("moot: %s missed: the node dropped what was not taken in time", plural(int64(m.Missed), "message"))
	}
	line := "(not text, " + byteSize(int64(m.Size)) + ")"
	if isText(m.Bytes()) {
		line = strings.TrimSuffix(string(m.Bytes()), "\n")
	}
	if s.author {
		line = m.Published.Local().Format("15:04:05") + "  " + printable(m.Author) + "  " + line
	}
	_, err := fmt.Fprintln(s.stdout, line)
	return err
}
