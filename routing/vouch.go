package routing

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// maxAsks is the most indirect probes that are made for others at once, maxAskTimeout the longest.
	maxAsks       = 64
	maxAskTimeout = time.Second
)

// proofVersion is the version of a proof's encoding.
const proofVersion = 1

// proofPayloadType tells proofs from everything else that peers sign.
var proofPayloadType = []byte("/folkmoot/member-proof")

// proofRecord is what a peer signs to prove to another, through a third that neither has to believe, that it runs: the version in one byte, the
// asker's id with its length in one byte, and the asker's nonce. Without it one lying helper could keep a dead peer alive in everybody's view.
type proofRecord struct {
	network swarm.NetworkID
	prove
}

var _ record.Record = (*proofRecord)(nil)

func (r *proofRecord) Domain() string { return r.network.SigningDomain("member-proof") }
func (r *proofRecord) Codec() []byte  { return proofPayloadType }

// MarshalRecord encodes the proof.
func (r *proofRecord) MarshalRecord() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint8(proofVersion)
	r.add(&b)
	return b.Bytes()
}

// UnmarshalRecord decodes a proof.
func (r *proofRecord) UnmarshalRecord(data []byte) error {
	s := cryptobyte.String(data)
	var version uint8
	if !s.ReadUint8(&version) || version != proofVersion || !r.read(&s) || !s.Empty() {
		return errMalformed
	}
	return nil
}

// sealProof signs a proof.
func sealProof(key crypto.PrivKey, network swarm.NetworkID, p prove) ([]byte, error) {
	envelope, err := record.Seal(&proofRecord{network: network, prove: p}, key)
	if err != nil {
		return nil, fmt.Errorf("sign the proof: %w", err)
	}
	return envelope.Marshal()
}

// checkProof verifies that target proves p.
func checkProof(network swarm.NetworkID, target peer.ID, p prove, sealed []byte) error {
	r := proofRecord{network: network}
	envelope, err := record.ConsumeTypedEnvelope(sealed, &r)
	if err != nil {
		return fmt.Errorf("open the proof: %w", err)
	}
	if !bytes.Equal(envelope.PayloadType, proofPayloadType) || !target.MatchesPublicKey(envelope.PublicKey) || r.prove != p {
		return fault.New(fault.Invalid, "the proof is not %s's, or not the one asked for", target)
	}
	return nil
}

// askHelper has another peer probe the target and reports how it went.
func (m *Membership) askHelper(ctx context.Context, a swim.Ask) {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	vouched, err := m.vouchedBy(ctx, a)
	if err != nil {
		return // the helper's silence is for the machine to weigh
	}
	m.update(func(now time.Time) {
		if vouched {
			m.machine.Vouched(now, a.ID)
		} else {
			m.machine.Denied(now, a.ID)
		}
	})
}

// vouchedBy reports whether a helper shows proof that the target runs. An error says that the helper didn't answer.
func (m *Membership) vouchedBy(ctx context.Context, a swim.Ask) (bool, error) {
	q := ask{Target: a.Target, Timeout: uint16(min(a.Timeout, maxAskTimeout) / time.Millisecond)}
	rand.Read(q.Nonce[:])
	shown, err := m.requestProof(ctx, a.Helper, kindAsk, &q)
	if err != nil || len(shown) == 0 {
		return false, err
	}
	if err := checkProof(m.cfg.Network, a.Target, prove{Asker: m.host.ID(), Nonce: q.Nonce}, shown); err != nil {
		m.logger.Warn("a peer vouches for another with a false proof", "peer", a.Helper, "target", a.Target, "error", err)
		return false, nil
	}
	return true, nil
}

// requestProof makes a request that is answered with a proof.
func (m *Membership) requestProof(ctx context.Context, to peer.ID, k messageKind, b body) ([]byte, error) {
	request, err := encodeRequest(k, b)
	if err != nil {
		return nil, err
	}
	response, err := m.call(ctx, to, request)
	if err != nil {
		return nil, err
	}
	var p proof
	err = decode(response, &p)
	return p.Sealed, err
}

// handleAsk gets a proof from a member for another. It answers with none when it has no time or doesn't know the target.
func (m *Membership) handleAsk(ctx context.Context, from peer.ID, data []byte) (body, error) {
	var a ask
	if err := decode(data, &a); err != nil {
		return nil, err
	}
	m.mu.Lock()
	_, known := m.machine.Member(a.Target) // the view may be a little older, and who asks now may ask again only later
	m.mu.Unlock()
	if !known || a.Target == m.host.ID() || !m.limits.allow(from, limitAsks) {
		return &proof{}, nil
	}
	select {
	case m.asks <- struct{}{}:
		defer func() { <-m.asks }()
	default:
		return &proof{}, nil
	}
	// The answer must be back before the one who asked gives up.
	timeout := min(time.Duration(a.Timeout)*time.Millisecond, maxAskTimeout) * 4 / 5
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := m.connect(ctx, a.Target, nil); err != nil {
		return &proof{}, nil
	}
	shown, err := m.requestProof(ctx, a.Target, kindProve, &prove{Asker: from, Nonce: a.Nonce})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		m.logger.Debug("no proof", "target", a.Target, "error", err)
	}
	return &proof{Sealed: shown}, nil
}

// handleProve proves to whom it may concern that this node runs.
func (m *Membership) handleProve(from peer.ID, data []byte) (body, error) {
	var p prove
	if err := decode(data, &p); err != nil {
		return nil, err
	}
	if !m.limits.allow(from, limitAsks) {
		return &proof{}, nil
	}
	m.update(func(now time.Time) { m.machine.Sought(now, p.Asker, from) })
	sealed, err := sealProof(m.cfg.Key, m.cfg.Network, p)
	return &proof{Sealed: sealed}, err
}
