package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

// moot is a cluster of record stores that know one another from the start: no discovery and no failure detector, so
// that the stores alone are measured.
type moot struct {
	dir     string
	hosts   []host.Host
	stores  []*records.Store
	stop    context.CancelFunc
	running sync.WaitGroup
}

// openMoot opens the stores under a temporary folder, which Close removes, and connects all with all.
func openMoot(ctx context.Context, o options, noSync bool) (_ cluster, err error) {
	ctx, stop := context.WithCancel(ctx)
	m := &moot{stop: stop}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if m.dir, err = os.MkdirTemp(o.dir, "bench-records-"); err != nil {
		return nil, err
	}
	id, err := swarm.OpenNetwork("bench")
	if err != nil {
		return nil, err
	}
	listen := ma.StringCast("/ip4/127.0.0.1/tcp/0")
	var keys []crypto.PrivKey
	for range o.peers {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return nil, err
		}
		h, err := swarm.NewHost(swarm.Config{Key: key, Network: id, Listen: []ma.Multiaddr{listen}})
		if err != nil {
			return nil, err
		}
		keys, m.hosts = append(keys, key), append(m.hosts, h)
	}
	if err := m.connect(ctx); err != nil {
		return nil, err
	}
	members := m.members()
	for i, h := range m.hosts {
		store, err := records.Open(records.Config{
			Host: h, Key: keys[i], Network: id, Copies: o.copies, NoSync: noSync,
			Viewer: staticViewer{&routing.View{Self: h.ID(), Members: members}},
			Dir:    filepath.Join(m.dir, fmt.Sprint(i)),
		})
		if err != nil {
			return nil, err
		}
		m.stores = append(m.stores, store)
		m.running.Go(func() { store.Run(ctx) }) //nolint:errcheck // it fails only as the bench ends
	}
	return m, nil
}

// connect connects all hosts with all.
func (m *moot) connect(ctx context.Context) error {
	for i, a := range m.hosts {
		for _, b := range m.hosts[:i] {
			if err := a.Connect(ctx, addrInfo(b)); err != nil {
				return fmt.Errorf("connect the peers: %w", err)
			}
		}
	}
	return nil
}

// members returns every peer as alive, in the order of a View.
func (m *moot) members() []routing.Member {
	now := time.Now()
	var members []routing.Member
	for _, h := range m.hosts {
		members = append(members, routing.Member{ID: h.ID(), Addrs: h.Addrs(), State: routing.Alive, Since: now, LastSeen: now})
	}
	slices.SortFunc(members, func(a, b routing.Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return members
}

func (m *moot) Put(ctx context.Context, peer int, key string, value []byte) error {
	_, err := m.stores[peer].Put(ctx, key, value, records.PutOptions{})
	return err
}

func (m *moot) Get(ctx context.Context, peer int, key string) ([]byte, error) {
	record, err := m.stores[peer].Get(ctx, key)
	return record.Value, err
}

func (m *moot) Close() error {
	m.stop()
	m.running.Wait()
	var errs []error
	for _, s := range m.stores {
		errs = append(errs, s.Close())
	}
	for _, h := range m.hosts {
		errs = append(errs, h.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(m.dir))...)
}

// staticViewer gives a view that never changes.
type staticViewer struct{ view *routing.View }

func (v staticViewer) View() *routing.View { return v.view }

// Changed returns a channel that is never closed.
func (staticViewer) Changed() <-chan struct{} { return nil }

func addrInfo(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }
