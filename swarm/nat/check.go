package nat

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/internal/allowance"
	"github.com/folkmoot/folkmoot/swarm"
)

// checkProtocol is the part of the protocol's id after the network's. A peer asks another which of its addresses it can dial:
//
//	request   list of addresses, its size in two bytes; each a binary multiaddr with its length in two bytes; maxChecked at most
//	response  one byte for each address, a checkResult
//
// The one that is asked dials the address from a fresh port and makes a secure handshake, with a key made for the purpose, which proves that it is the asker who is there. Any gate lets a
// handshake through: only after it is known who is there. AutoNAT v2 (https://github.com/libp2p/specs/blob/master/autonat/autonat-v2.md) opens a stream to the asker with an identity of
// its own for that, which the gate of a members-only network refuses. Source of the idea and its limits: that specification.
const checkProtocol = "reachability/1"

// checkResult says how the dial of one address went.
type checkResult uint8

const (
	// notTried: the address is not of a kind that is tried, or the asker asked too much.
	notTried checkResult = iota
	// reached: the asker was there.
	reached
	// notReached: nobody was there, or somebody else.
	notReached
)

// Bounds on checks.
const (
	// maxChecked is the most addresses in one request.
	maxChecked = 8
	// maxCheckedSize bounds one of them in binary form, in bytes.
	maxCheckedSize  = 256
	maxCheckMessage = 2 + maxChecked*(2+maxCheckedSize)
	// checkDialTime bounds the dials of one request, which run side by side.
	checkDialTime = 3 * time.Second
	// checkTime bounds a request as seen by the asker.
	checkTime = checkDialTime + 3*time.Second
	// checkRate is how many requests of one peer are carried out in a second, after a first checkBurst.
	checkRate  = 0.1
	checkBurst = 6
	// maxDials is how many addresses are dialled at once for all peers; what comes then is not tried.
	maxDials = 64
	// maxChecksPerPeer is how many requests of one peer are under way at once.
	maxChecksPerPeer = 2
	// maxCounted is how many peers are counted apart. Beyond, those are forgotten that have asked nothing lately.
	maxCounted = 4096
)

var errMalformed = errors.New("malformed reachability request")

func encodeCheck(addrs []ma.Multiaddr) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, a := range addrs {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.Bytes()) })
		}
	})
	return b.Bytes()
}

func decodeCheck(data []byte) ([]ma.Multiaddr, error) {
	s := cryptobyte.String(data)
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() {
		return nil, errMalformed
	}
	var addrs []ma.Multiaddr
	for !list.Empty() {
		var raw cryptobyte.String
		if !list.ReadUint16LengthPrefixed(&raw) || len(raw) == 0 || len(raw) > maxCheckedSize || len(addrs) == maxChecked {
			return nil, errMalformed
		}
		a, err := ma.NewMultiaddrBytes(slices.Clone(raw))
		if err != nil || len(a) == 0 {
			return nil, errMalformed
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

func decodeResults(data []byte, want int) ([]checkResult, error) {
	if len(data) != want {
		return nil, errMalformed
	}
	results := make([]checkResult, want)
	for i, b := range data {
		if results[i] = checkResult(b); results[i] > notReached {
			return nil, errMalformed
		}
	}
	return results, nil
}

// learnFunc is swarm.LearnPeerID, resolveFunc swarm.Resolve.
type (
	learnFunc   func(context.Context, ma.Multiaddr) (peer.ID, error)
	resolveFunc func(context.Context, ma.Multiaddr) ([]ma.Multiaddr, error)
)

// checkServer dials for others.
type checkServer struct {
	learn   learnFunc
	resolve resolveFunc
	logger  *slog.Logger
	dials   chan struct{} // one element for each dial under way
	limits  *allowance.Each[peer.ID]
}

func newCheckServer(learn learnFunc, resolve resolveFunc, logger *slog.Logger) *checkServer {
	return &checkServer{learn: learn, resolve: resolve, logger: logger, dials: make(chan struct{}, maxDials), limits: allowance.New[peer.ID](checkRate, checkBurst, maxCounted)}
}

// handle answers a request.
func (c *checkServer) handle(ctx context.Context, from peer.ID, request []byte) ([]byte, error) {
	addrs, err := decodeCheck(request)
	if err != nil {
		return nil, err
	}
	results := make([]byte, len(addrs))
	if !c.limits.Allow(from, time.Now()) {
		return results, nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkDialTime)
	defer cancel()
	var dials sync.WaitGroup
	for i, a := range addrs {
		if !swarm.CanLearnPeerID(a) || !dialable(a) {
			continue
		}
		select {
		case c.dials <- struct{}{}:
		default:
			continue
		}
		dials.Go(func() {
			defer func() { <-c.dials }()
			results[i] = byte(c.dial(ctx, a, from))
		})
	}
	dials.Wait()
	return results, nil
}

// dial says whether a peer is at an address. A name is resolved first: what it stands for may be of this machine or its link, where nobody dials for others.
func (c *checkServer) dial(ctx context.Context, a ma.Multiaddr, who peer.ID) checkResult {
	transport, _ := peer.SplitAddr(a)
	if transport == nil {
		return notTried
	}
	resolved, err := c.resolve(ctx, transport)
	if err != nil {
		c.logger.Debug("not reached", "peer", who, "address", a, "error", err)
		return notReached
	}
	result := notTried
	for _, r := range resolved {
		if !dialable(r) {
			continue
		}
		id, err := c.learn(ctx, r)
		if err == nil && id == who {
			return reached
		}
		c.logger.Debug("not reached", "peer", who, "address", r, "found", id, "error", err)
		result = notReached
	}
	return result
}
