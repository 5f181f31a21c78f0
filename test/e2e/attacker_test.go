//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libp2ppeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/folkmoot/folkmoot/swarm"
)

// The test program started with these variables attacks: it is a process of its own on a host of its own. The kind is one of attacks, the target a multiaddr that ends in /p2p/ID.
const (
	attackKind   = "FOLKMOOT_E2E_ATTACK"
	attackTarget = "FOLKMOOT_E2E_TARGET"
)

// How much an attacker does at most.
const (
	// attackTime is how long it goes on.
	attackTime = 2 * time.Second
	// attackOpen is how many connections, or streams, it tries to have open at once, and attackIdentities how many connections with a handshake.
	attackOpen       = 2000
	attackIdentities = 300
	attackWorkers    = 16
	// attackPause is how long it waits after a refusal.
	attackPause = 5 * time.Millisecond
)

// attacks are the kinds, each of which counts what it got and what it was refused.
var attacks = map[string]func(context.Context, *target) error{
	"silent connections": silent,
	"identities":         identities,
	"streams":            streams,
	"endless messages":   endless,
	"slow reader":        slowReader,
}

// target is who is attacked.
type target struct {
	libp2ppeer.AddrInfo
	got, refused atomic.Int64
}

// attack runs in the attacker's process. It prints what it got, and fails where it got nothing: then nothing was attacked.
func attack(kind, addr string) error {
	a, err := ma.NewMultiaddr(addr)
	if err != nil {
		return err
	}
	info, err := libp2ppeer.AddrInfoFromP2pAddr(a)
	if err != nil {
		return err
	}
	run := attacks[kind]
	if run == nil {
		return fmt.Errorf("no attack %q", kind)
	}
	ctx, cancel := context.WithTimeout(context.Background(), attackTime)
	defer cancel()
	t := &target{AddrInfo: *info}
	if err := run(ctx, t); err != nil {
		return err
	}
	if t.got.Load() == 0 {
		return fmt.Errorf("refused %d times, and let in never", t.refused.Load())
	}
	fmt.Fprintf(os.Stdout, "got %d, was refused %d times\n", t.got.Load(), t.refused.Load())
	return nil
}

// count notes how an attempt ended, and waits a moment after a refusal.
func (t *target) count(ctx context.Context, err error) {
	if err == nil {
		t.got.Add(1)
		return
	}
	if ctx.Err() != nil {
		return
	}
	t.refused.Add(1)
	select {
	case <-ctx.Done():
	case <-time.After(attackPause):
	}
}

// each has workers do something again and again until ctx ends.
func each(ctx context.Context, workers int, do func(worker int)) {
	var all sync.WaitGroup
	defer all.Wait()
	for w := range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				do(w)
			}
		})
	}
}

// silent opens connections that say nothing, and new ones for those that are closed.
func silent(ctx context.Context, t *target) error {
	network, addr, err := manet.DialArgs(t.Addrs[0])
	if err != nil {
		return err
	}
	each(ctx, attackOpen/4, func(int) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		t.count(ctx, err)
		if err != nil {
			return
		}
		defer c.Close()
		defer context.AfterFunc(ctx, func() { c.Close() })()
		_, _ = c.Read(make([]byte, 1<<10)) // the other side speaks first, and gets no answer
		_, err = c.Read(make([]byte, 1))
		t.count(ctx, err)
	})
	return nil
}

// freshPeer is one with a key of its own.
func freshPeer() (host.Host, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	return swarm.NewVisitor(swarm.Config{Key: key, Network: swarm.NetworkID{1}})
}

// identities connects as many peers as there can be, and keeps the connections.
func identities(ctx context.Context, t *target) error {
	var mu sync.Mutex
	var hosts []host.Host
	defer func() {
		for _, h := range hosts {
			h.Close()
		}
	}()
	each(ctx, attackWorkers, func(int) {
		h, err := freshPeer()
		if err != nil {
			t.count(ctx, err)
			return
		}
		err = h.Connect(ctx, t.AddrInfo)
		t.count(ctx, err)
		mu.Lock()
		defer mu.Unlock()
		if err != nil || len(hosts) >= attackIdentities {
			h.Close()
			return
		}
		hosts = append(hosts, h)
	})
	return nil
}

// one returns a peer that is connected to the target. In a network for members only it is not let in, and the connection may be closed.
func one(ctx context.Context, t *target) (host.Host, error) {
	h, err := freshPeer()
	if err != nil {
		return nil, err
	}
	h.Peerstore().AddAddrs(t.ID, t.Addrs, peerstore.PermanentAddrTTL)
	if _, err := h.Network().DialPeer(ctx, t.ID); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// streams opens streams of which nothing comes, as many as there can be.
func streams(ctx context.Context, t *target) error {
	h, err := one(ctx, t)
	if err != nil {
		return err
	}
	defer h.Close()
	each(ctx, attackWorkers, func(w int) {
		if t.got.Load() > attackOpen {
			<-ctx.Done()
			return
		}
		s, err := h.Network().NewStream(ctx, t.ID)
		if err == nil {
			_, err = s.Write([]byte("\x13/multistream/1.0.0\n")) // and no protocol after it
		}
		t.count(ctx, err)
	})
	return nil
}

// speak has workers open streams of all protocols that the target speaks, in turns, and do something with each.
func speak(ctx context.Context, t *target, do func(s network.Stream) error) error {
	h, err := freshPeer()
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.Connect(ctx, t.AddrInfo); err != nil {
		return err
	}
	protocols, err := h.Peerstore().GetProtocols(t.ID)
	if err != nil {
		return err
	}
	if len(protocols) == 0 {
		return errors.New("the target speaks no protocol")
	}
	var turn atomic.Int64
	each(ctx, attackWorkers, func(int) {
		s, err := h.NewStream(ctx, t.ID, protocols[int(turn.Add(1))%len(protocols)])
		t.count(ctx, err)
		if err != nil {
			return
		}
		defer s.Reset()
		defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
		t.count(ctx, do(s))
	})
	return nil
}

// endless sends one message that does not end on each stream.
func endless(ctx context.Context, t *target) error {
	return speak(ctx, t, func(s network.Stream) error {
		block := make([]byte, 64<<10)
		for i := range block {
			block[i] = 0xff // the longest lengths there are
		}
		for {
			if _, err := s.Write(block); err != nil {
				return err
			}
		}
	})
}

// slowReader asks for an answer to each of many small messages, and reads none.
func slowReader(ctx context.Context, t *target) error {
	return speak(ctx, t, func(s network.Stream) error {
		for {
			if _, err := s.Write(make([]byte, 32)); err != nil {
				return err
			}
		}
	})
}
