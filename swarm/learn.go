package swarm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// learnTimeout bounds LearnPeerID, name look-ups included.
	learnTimeout = 10 * time.Second
	// maxResolved is how many addresses of a name are tried.
	maxResolved = 8
	// quicALPN is the application protocol of libp2p over QUIC.
	quicALPN = "libp2p"
)

// LearnPeerID returns the id of the peer at an address, as proven by a secure handshake with it, in which this side shows a key made
// for the purpose. The address is one for TCP or QUIC, with an IP address or a DNS name; if it ends in /p2p/ID, that id must be the one
// proven.
//
// Errors are fault.Invalid when the address is of another kind or another peer is there, and fault.Unavailable when nobody answers
// before ctx is over, or in 10 seconds.
//
// Source: https://github.com/libp2p/specs/blob/master/noise/README.md, and tls/tls.md there.
func LearnPeerID(ctx context.Context, addr ma.Multiaddr) (peer.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	transport, want := peer.SplitAddr(addr)
	if !CanLearnPeerID(transport) {
		return "", fault.New(fault.Invalid, "learn the peer id at %s: this is possible for TCP and QUIC only; add /p2p/PEERID to the address", addr)
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("learn the peer id at %s: %w", addr, err)
	}
	resolved, err := Resolve(ctx, transport)
	if err != nil {
		return "", fault.New(fault.Unavailable, "learn the peer id at %s: %w", addr, err)
	}
	var failed error
	for _, a := range resolved {
		id, err := handshake(ctx, key, a)
		switch {
		case err != nil:
			failed = errors.Join(failed, err)
		case want != "" && id != want:
			return "", fault.New(fault.Invalid, "learn the peer id at %s: the peer there is %s", addr, id)
		default:
			return id, nil
		}
	}
	return "", fault.New(fault.Unavailable, "learn the peer id at %s: %w", addr, failed)
}

// CanLearnPeerID reports whether LearnPeerID works for addr's transport.
func CanLearnPeerID(addr ma.Multiaddr) bool {
	t := TransportOf(addr)
	return t == "tcp" || t == "quic-v1"
}

// Resolve replaces a DNS name in an address by what it stands for, maxResolved addresses at most: of more, any, so that who asks again gets to others, too. An address without a name is returned as it is.
func Resolve(ctx context.Context, addr ma.Multiaddr) ([]ma.Multiaddr, error) {
	if !madns.Matches(addr) {
		return []ma.Multiaddr{addr}, nil
	}
	resolved, err := madns.DefaultResolver.Resolve(ctx, addr)
	if err != nil {
		return nil, err
	}
	if len(resolved) == 0 {
		return nil, errors.New("the name has no address")
	}
	return anyOf(resolved, maxResolved), nil
}

// anyOf returns n of more addresses by chance, and as many as n as they are.
func anyOf(addrs []ma.Multiaddr, n int) []ma.Multiaddr {
	if len(addrs) <= n {
		return addrs
	}
	mathrand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs[:n]
}

func handshake(ctx context.Context, key crypto.PrivKey, addr ma.Multiaddr) (peer.ID, error) {
	if TransportOf(addr) == "quic-v1" {
		return handshakeQUIC(ctx, key, addr)
	}
	return handshakeTCP(ctx, key, addr)
}

// handshakeTCP secures a TCP connection with whichever protocol the peer prefers.
func handshakeTCP(ctx context.Context, key crypto.PrivKey, addr ma.Multiaddr) (peer.ID, error) {
	conn, err := new(manet.Dialer).DialContext(ctx, addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	selected, err := multistream.SelectOneOf([]protocol.ID{noise.ID, libp2ptls.ID}, conn)
	if err != nil {
		return "", because(ctx, fmt.Errorf("agree on a secure protocol: %w", err))
	}
	security, err := anyPeer(selected, key)
	if err != nil {
		return "", err
	}
	secured, err := security.SecureOutbound(ctx, conn, "")
	if err != nil {
		return "", because(ctx, fmt.Errorf("secure handshake: %w", err))
	}
	return secured.RemotePeer(), nil
}

// anyPeer returns a security protocol for handshakes with a peer whose id is not known beforehand.
func anyPeer(id protocol.ID, key crypto.PrivKey) (sec.SecureTransport, error) {
	if id == libp2ptls.ID {
		return libp2ptls.New(id, key, nil)
	}
	t, err := noise.New(id, key, nil)
	if err != nil {
		return nil, err
	}
	return t.WithSessionOptions(noise.DisablePeerIDCheck())
}

// handshakeQUIC opens a QUIC connection, whose handshake is that of libp2p's TLS.
func handshakeQUIC(ctx context.Context, key crypto.PrivKey, addr ma.Multiaddr) (peer.ID, error) {
	udp, _ := ma.SplitFunc(addr, func(c ma.Component) bool { return c.Protocol().Code == ma.P_QUIC_V1 })
	remote, err := manet.ToNetAddr(udp)
	if err != nil {
		return "", err
	}
	identity, err := libp2ptls.NewIdentity(key)
	if err != nil {
		return "", err
	}
	config, proven := identity.ConfigForPeer("")
	config.NextProtos = []string{quicALPN}

	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return "", err
	}
	defer socket.Close()
	transport := &quic.Transport{Conn: socket}
	defer transport.Close()
	conn, err := transport.Dial(ctx, remote, config, &quic.Config{})
	if err != nil {
		return "", because(ctx, fmt.Errorf("secure handshake: %w", err))
	}
	defer conn.CloseWithError(quic.ApplicationErrorCode(network.ConnNoError), "")
	return peer.IDFromPublicKey(<-proven)
}

// because returns the reason why ctx ended, if it did, in place of the error that it led to.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
