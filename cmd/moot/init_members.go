package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery/dns"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/pause"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/admission"
	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// admissionPause lies between two tries to be admitted. A member answers two a second from one address.
	admissionPause = 2 * time.Second
	// doorTime bounds the search for members at the names.
	doorTime = 5 * time.Second
)

// becomeMember has the members of a network admit the node of the home, where the network is for members only and it is none yet, by the secret that they have in common. It tries until one has.
func (a *app) becomeMember(ctx context.Context, g *ledger.Genesis, o initOptions) error {
	if !g.MembersOnly() {
		return nil
	}
	if member, err := node.IsMember(a.home); err != nil || member {
		return err
	}
	switch {
	case o.membersSecret == "":
		return advise(fault.New(fault.Forbidden, "network %s is for members only, and this node is none", quoteKey(g.Network)), "give --members-secret and --dns, or have it admitted: moot members admit PEER")
	case g.Predecessor != nil:
		return advise(fault.New(fault.Conflict, "the network's ledger goes on from another one, which nobody enters by a secret"), "have the node admitted: moot members admit PEER")
	}
	text, err := readSecret("members'", o.membersSecret)
	if err != nil {
		return err
	}
	line := &admission.Line{Network: g.ID(), Secret: admission.SecretOf(text)}
	for told := ""; ; {
		if line.Addrs, err = doorsAt(ctx, o.dns); err == nil {
			err = a.askIn(ctx, g, line)
		}
		switch kind := fault.KindOf(err); {
		case err == nil:
			a.notef("admitted as a member")
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case kind != fault.Unavailable && kind != fault.NotFound: // those pass: members start, and make the invite
			return err
		}
		if text := oneLine(err.Error()); text != told {
			a.notef("waiting to be admitted as a member: %s", text)
			told = text
		}
		if pause.For(ctx, admissionPause) != nil {
			return ctx.Err()
		}
	}
}

// askIn has one of the members of a line admit the node, and keeps the proof.
func (a *app) askIn(ctx context.Context, g *ledger.Genesis, line *admission.Line) error {
	key, err := node.Identity(a.home)
	if err != nil {
		return err
	}
	v, err := admission.NewVisitor(line, key)
	if err != nil {
		return err
	}
	defer v.Close()
	var proof []byte
	inv, err := v.Ask(ctx)
	switch {
	case err == nil:
		proof, err = v.Join(ctx, inv, machineName())
	case errors.Is(err, admission.ErrMember): // it was broken off before the proof was here
		proof, err = v.Receipt(ctx, g)
	}
	if err != nil {
		return err
	}
	_, err = node.JoinMembers(a.home, g, proof, line.Addrs)
	return err
}

// doorsAt returns where peers are at the addresses of names, each ending in the peer's id. It is fault.Unavailable when there are none.
func doorsAt(ctx context.Context, names []string) ([]ma.Multiaddr, error) {
	ctx, cancel := context.WithTimeout(ctx, doorTime)
	defer cancel()
	var found []ma.Multiaddr
	var failed error
	for _, name := range names {
		n, err := dns.ParseName(name)
		if err != nil {
			return nil, fmt.Errorf("option --dns: %w", err)
		}
		addr, err := ma.NewMultiaddr(fmt.Sprintf("/dns/%s/tcp/%d", n.Host, cmp.Or(n.Port, swarm.DefaultPort)))
		if err != nil {
			return nil, fault.New(fault.Invalid, "option --dns: %w", err)
		}
		resolved, err := swarm.Resolve(ctx, addr)
		failed = errors.Join(failed, err)
		found = append(found, resolved...)
	}
	var mu sync.Mutex
	var doors []ma.Multiaddr
	var asking sync.WaitGroup
	for _, addr := range found[:min(len(found), admission.MaxLineAddrs)] {
		asking.Go(func() {
			id, err := swarm.LearnPeerID(ctx, addr)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = errors.Join(failed, err)
				return
			}
			doors = append(doors, withID([]ma.Multiaddr{addr}, id)...)
		})
	}
	asking.Wait()
	if len(doors) == 0 {
		return nil, fault.New(fault.Unavailable, "nobody is there yet at %s: %w", strings.Join(names, ", "), failed)
	}
	slices.SortFunc(doors, ma.Multiaddr.Compare)
	return doors, nil
}
