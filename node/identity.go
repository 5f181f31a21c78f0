package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/discovery/peercache"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/pause"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/admission"
	"github.com/folkmoot/folkmoot/swarm"
)

// confirmTime bounds a question of ConfirmMember, and confirmPause is between rounds of them.
const (
	confirmTime  = 4 * time.Second
	confirmPause = 500 * time.Millisecond
)

// nextIdentityFile holds the identity that is to take the place of the present one.
const nextIdentityFile = "identity-next.key"

// Identity returns the identity of home, and makes it where there is none.
func Identity(home string) (crypto.PrivKey, error) { return identityIn(home, identityFile) }

// NextIdentity returns the identity that is to take the place of that of home, and makes it where there is none. It stays the same until TakeNextIdentity.
func NextIdentity(home string) (crypto.PrivKey, error) { return identityIn(home, nextIdentityFile) }

func identityIn(home, file string) (crypto.PrivKey, error) {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("make home folder: %w", err)
	}
	path := filepath.Join(home, file)
	key, err := swarm.LoadIdentity(path)
	if fault.KindOf(err) == fault.NotFound {
		key, err = swarm.CreateIdentity(path)
	}
	return key, err
}

// TakeNextIdentity puts the identity that NextIdentity made in the place of the present one, which is kept beside it under a name with the time. Who runs on the home goes on under the old one until it is started again. A crash
// between the two steps leaves the home without an identity, and calling this again mends it.
func TakeNextIdentity(home string, at time.Time) (kept string, err error) {
	present, next := filepath.Join(home, identityFile), filepath.Join(home, nextIdentityFile)
	if _, err := os.Stat(next); err != nil {
		return "", fmt.Errorf("replace the identity: %w", err)
	}
	kept = filepath.Join(home, fmt.Sprintf("identity-replaced-%d.key", at.Unix()))
	if err := os.Rename(present, kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("replace the identity: %w", err)
	}
	if err := os.Rename(next, present); err != nil {
		return kept, fmt.Errorf("replace the identity: %w", err)
	}
	return kept, nil
}

// MemberKey returns the key of an identity as the ledger has it.
func MemberKey(key crypto.PrivKey) (ledger.PublicKey, error) {
	raw, err := key.GetPublic().Raw()
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return ledger.PublicKey{}, fault.New(fault.Invalid, "the identity is no Ed25519 key")
	}
	return ledger.PublicKey(raw), nil
}

// HasNextIdentity reports whether NextIdentity has made an identity for home that TakeNextIdentity has not put in place.
func HasNextIdentity(home string) bool {
	_, err := os.Stat(filepath.Join(home, nextIdentityFile))
	return err == nil
}

// ConfirmMember asks peers, and those that home remembers, whether the peer of a key is a member of home's network, until one has proven it or ctx ends. What is proven is kept in home. It is fault.Unavailable when nobody does.
func ConfirmMember(ctx context.Context, home string, key crypto.PrivKey, peers []peer.AddrInfo) error {
	info, err := ReadHome(home)
	if err != nil {
		return err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return err
	}
	book, err := admission.OpenBook(admission.BookConfig{Genesis: info.Genesis, Self: id, Path: filepath.Join(home, membersFile)})
	if err != nil {
		return err
	}
	remembered, err := peercache.Load(filepath.Join(home, peersFile))
	for _, e := range remembered {
		peers = append(peers, peer.AddrInfo{ID: e.ID, Addrs: e.Addrs})
	}
	for ; ctx.Err() == nil; err = errors.Join(err, pause.For(ctx, confirmPause)) {
		for _, p := range peers {
			one, cancel := context.WithTimeout(ctx, confirmTime)
			err = admission.Fetch(one, book, key, info.NetworkID, p)
			cancel()
			if book.Allowed(id) {
				return nil
			}
		}
	}
	return fault.New(fault.Unavailable, "no member has proven that %s is one: %w", id, err)
}
