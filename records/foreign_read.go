package records

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

const (
	// foreignNearest is how many of the members nearest to a foreign key are asked for it: Kademlia's k, the number of peers that values are put to.
	foreignNearest = 20
	// foreignPatience is how long all of them are waited for; then a majority is enough.
	foreignPatience = 300 * time.Millisecond
)

// get returns the value under a key of foreign peers, kad/NAMESPACE/NAME, that was put last, as the members know it that are nearest to the key. It has no author:
// nobody signed it, and anybody may have put it. Consistency and session of opts say nothing of it.
func (f *Foreign) get(ctx context.Context, text string, opts GetOptions) (r Record, err error) {
	defer f.s.metrics.begin("get-foreign")(&err)
	key, err := parseForeignText(text)
	if err != nil {
		return Record{}, err
	}
	answers, asked, err := f.askNearest(ctx, foreignGet, key.wire)
	if err != nil {
		return Record{}, err
	}
	best, n := f.newest(key.wire, answers)
	switch {
	case best != nil:
		digest := sha256.Sum256(best.Value)
		return Record{
			Key: text, Value: best.Value, Version: Version{Time: timestampOf(timeOf(best.Received)), Hash: [16]byte(digest[:])}, Expires: timeOf(best.Expires),
			Stored: n, Wanted: asked, Copies: foreignNearest, Session: opts.Session,
		}, nil
	case len(answers) < majority(asked):
		return Record{}, fault.New(fault.Unavailable, "read %q: %d of the %d nearest members answered; try again or check `moot peers`", text, len(answers), asked)
	}
	return Record{}, fault.New(fault.NotFound, "no value %q: foreign values stay for %.0f hours unless they are put again", text, ForeignTTL.Hours())
}

// newest returns the value that was put last of those in answers, or nil, and how many members have exactly that one. What can't be true is left out.
func (f *Foreign) newest(wire []byte, answers [][]byte) (best *disk.ForeignValue, n int) {
	now := f.now()
	for _, data := range answers {
		if len(data) == 0 {
			continue
		}
		v, err := disk.UnmarshalForeignValue(data)
		if err != nil || !bytes.Equal(v.Key, wire) || !plausible(v.Received, v.Expires, now, ForeignTTL) {
			continue
		}
		switch {
		case best != nil && bytes.Equal(best.Value, v.Value):
			n++
			best.Received, best.Expires = max(best.Received, v.Received), max(best.Expires, v.Expires)
		case best == nil || v.Received > best.Received || v.Received == best.Received && bytes.Compare(v.Value, best.Value) > 0:
			best, n = &v, 1
		}
	}
	return best, n
}

// plausible reports whether what a member tells of lives, and may have been received when it says.
func plausible(received, expires, now uint64, ttl time.Duration) bool {
	return expires > now && received <= now+uint64(maxAhead.Milliseconds()) && expires-received <= uint64(ttl.Milliseconds())
}

func majority(n int) int { return n/2 + 1 }

// askNearest asks the members nearest to a foreign key, this one included if it is among them, and returns what they answered: all of them, or after a while most.
func (f *Foreign) askNearest(ctx context.Context, op foreignOp, wire []byte) (answers [][]byte, asked int, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.s.cfg.Patience)
	defer cancel()
	nearest, err := f.nearest(ctx, wire)
	if err != nil {
		return nil, 0, err
	}
	req := foreignRequest{op: op, hash: sha256.Sum256(wire)}
	results := make(chan []byte, len(nearest))
	failures := make(chan error, len(nearest))
	for _, p := range nearest {
		f.s.tasks.Go(func() {
			if data, err := f.ask(ctx, p, &req); err != nil {
				failures <- err
			} else {
				results <- data
			}
		})
	}
	patience := time.NewTimer(foreignPatience)
	defer patience.Stop()
	for enough, failed := len(nearest), 0; len(answers) < enough && len(answers)+failed < len(nearest); {
		select {
		case data := <-results:
			answers = append(answers, data)
		case err := <-failures:
			f.s.logger.Debug("a member did not tell of foreign peers", "error", err)
			failed++
		case <-patience.C:
			enough = majority(len(nearest))
		case <-ctx.Done():
			return answers, len(nearest), nil
		}
	}
	return answers, len(nearest), nil
}

// nearest returns the members that are alive and nearest to a foreign key, this one perhaps among them.
func (f *Foreign) nearest(ctx context.Context, wire []byte) ([]peer.AddrInfo, error) {
	target := sha256.Sum256(wire)
	if !f.s.cfg.Viewer.View().Partial || f.s.cfg.Locator == nil {
		return f.view.ClosestPeersTo(ctx, target, foreignNearest)
	}
	members, err := f.s.cfg.Locator.Closest(ctx, target, foreignNearest)
	infos := make([]peer.AddrInfo, len(members))
	for i, m := range members {
		infos[i] = peer.AddrInfo{ID: m.ID, Addrs: m.Addrs}
	}
	return infos, err
}

// ask makes a request to a member, which may be this one.
func (f *Foreign) ask(ctx context.Context, p peer.AddrInfo, req *foreignRequest) ([]byte, error) {
	if p.ID == f.s.self {
		return f.answer(req)
	}
	if host := f.s.cfg.Host; host.Network().Connectedness(p.ID) != network.Connected {
		host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.TempAddrTTL)
	}
	data, err := f.client.Call(ctx, p.ID, req.marshal())
	if errors.Is(err, rpc.ErrStreamLost) { // as after a restart of the member
		data, err = f.client.Call(ctx, p.ID, req.marshal())
	}
	return data, err
}
