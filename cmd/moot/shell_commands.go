package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/settings"
	"github.com/folkmoot/folkmoot/fault"
)

// errExit is the error of the command that leaves the shell.
var errExit = errors.New("leave the shell")

// shellCommand is a command of the shell.
type shellCommand struct {
	name, args, help string
	run              func(s *shell, ctx context.Context, args []string) error
}

// shellCommands returns the shell's commands in the order of HELP.
func shellCommands() []shellCommand {
	return []shellCommand{
		{"PUT", "KEY VALUE", "store a record", (*shell).put},
		{"GET", "KEY", "print a record's value", (*shell).get},
		{"PUT_PROVIDER", "KEY", "say that this node offers what the key names", (*shell).putProvider},
		{"GET_PROVIDERS", "KEY", "list the peers that do", (*shell).getProviders},
		{"PEERS", "", "list the peers that this node knows", (*shell).peers},
		{"PING", "PEER", "measure the way to a peer, by id or address", (*shell).ping},
		{"HELP", "", "list the commands", (*shell).help},
		{"EXIT", "", "leave; QUIT and Ctrl-D too", (*shell).exit},
		{"QUIT", "", "", (*shell).exit},
	}
}

// execute runs one line.
func (s *shell) execute(ctx context.Context, line string) error {
	words, err := splitLine(line)
	if err != nil || len(words) == 0 {
		return err
	}
	var names []string
	for _, c := range shellCommands() {
		if !strings.EqualFold(c.name, words[0]) {
			names = append(names, c.name)
			continue
		}
		if len(words)-1 != len(strings.Fields(c.args)) {
			return wrongWords(c)
		}
		return c.run(s, ctx, words[1:])
	}
	err = fault.New(fault.Invalid, "unknown command %s", quoteKey(words[0]))
	if near := settings.Nearest(strings.ToUpper(words[0]), names); near != "" {
		return advise(err, "did you mean %s?", near)
	}
	return advise(err, "HELP lists the commands")
}

func wrongWords(c shellCommand) error {
	if c.args == "" {
		return fault.New(fault.Invalid, "%s stands alone", c.name)
	}
	return advise(fault.New(fault.Invalid, "%s wants %s", c.name, c.args), `quote what has spaces: "two words"`)
}

func (s *shell) put(ctx context.Context, args []string) error {
	key, value := args[0], []byte(args[1])
	if err := errors.Join(checkKey(key), checkValue(value)); err != nil {
		return err
	}
	w, err := s.session.PutRecord(ctx, key, value, client.PutOptions{})
	if err := errors.Join(err, s.session.keep()); err != nil {
		return s.app.askFailed("put", key, err)
	}
	s.app.printf("Put record %s (%s)\n", printable(key), copiesText(w.Copies.Stored, w.Copies.Wanted, w.Copies.Configured))
	return nil
}

func (s *shell) get(ctx context.Context, args []string) error {
	if err := checkKey(args[0]); err != nil {
		return err
	}
	record, err := s.session.GetRecord(ctx, args[0], client.GetOptions{})
	if err := errors.Join(err, s.session.keep()); err != nil {
		return s.app.askFailed("get", args[0], err)
	}
	if !isText(record.Value) {
		return advise(fault.New(fault.Invalid, "get %s: its %s are not text", quoteKey(args[0]), plural(len(record.Value), "byte")),
			"save it with: moot get KEY --output FILE")
	}
	s.app.printf("%s\n", record.Value)
	return nil
}

func (s *shell) putProvider(ctx context.Context, args []string) error {
	if err := checkKey(args[0]); err != nil {
		return err
	}
	if _, err := s.client.Provide(ctx, args[0]); err != nil {
		return s.app.askFailed("put provider of", args[0], err)
	}
	s.app.printf("Put provider record %s\n", printable(args[0]))
	return nil
}

func (s *shell) getProviders(ctx context.Context, args []string) error {
	if err := checkKey(args[0]); err != nil {
		return err
	}
	found, err := s.client.Providers(ctx, args[0])
	if err != nil {
		return s.app.askFailed("get providers of", args[0], err)
	}
	if len(found.Providers) == 0 {
		return fault.New(fault.NotFound, "nobody provides %s", quoteKey(args[0]))
	}
	for _, p := range found.Providers {
		s.app.printf("%s\n", printable(p.ID))
	}
	return nil
}

func (s *shell) peers(ctx context.Context, _ []string) error {
	peers, err := s.client.Peers(ctx)
	if err != nil {
		return s.app.askFailed("list the peers", "", err)
	}
	s.app.printPeers(peers, time.Now())
	return nil
}

func (s *shell) ping(ctx context.Context, args []string) error {
	if err := checkTarget(args[0]); err != nil {
		return err
	}
	pong, err := pingOnce(ctx, s.client.Ping, args[0])
	if err != nil {
		return s.app.pingFailed(args[0], err)
	}
	s.app.printf("%s: %s\n", printable(pong.ID), millis(pong.RTTMicros))
	return nil
}

func (s *shell) help(context.Context, []string) error {
	table := newTable(s.app.stdout)
	for _, c := range shellCommands() {
		if c.help != "" {
			fmt.Fprintf(table, "%s\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
		}
	}
	return table.Flush()
}

func (s *shell) exit(context.Context, []string) error { return errExit }

// complete returns what the last word of a line may become, given the words before it.
func (s *shell) complete(ctx context.Context, before []string, begun string) []string {
	var all []string
	switch {
	case len(before) == 0:
		for _, c := range shellCommands() {
			all = append(all, c.name)
		}
		begun = strings.ToUpper(begun)
	case len(before) > 1:
		return nil
	case slices.Contains([]string{"GET", "PUT"}, strings.ToUpper(before[0])):
		all = keysFrom(ctx, s.client, begun)
	case strings.EqualFold(before[0], "PING"):
		all = s.peerIDs(ctx)
	}
	return slices.DeleteFunc(all, func(c string) bool { return !strings.HasPrefix(c, begun) })
}

func (s *shell) peerIDs(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	peers, err := s.client.Peers(ctx)
	if err != nil {
		return nil
	}
	var ids []string
	for _, p := range peers {
		if !p.Self {
			ids = append(ids, p.ID)
		}
	}
	return ids
}
