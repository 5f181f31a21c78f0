package records

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// sha256Multihash begins the multihash of a SHA-256: its code and its length.
	sha256Multihash = "\x12\x20"
	// maxForeignProviderKey bounds the keys of providers, in bytes, as everywhere on this protocol.
	maxForeignProviderKey = 80
)

// Foreign peers name what they provide by a multihash, which is the hash in a CID. A key of ours corresponds to one of SHA-256: a key sha256/HEX to that digest, which is how a
// CID names the same content, and every other key to the digest of its text, which is how libp2p names a rendezvous.

// multihashOf returns the multihash that a key corresponds to.
func multihashOf(key Key) []byte {
	digest := key.hash()
	if key.content != nil {
		digest = disk.Hash(key.content)
	}
	return append([]byte(sha256Multihash), digest[:]...)
}

// hashesOf returns the SHA-256 of the keys that correspond to a multihash.
func hashesOf(multihash []byte) []disk.Hash {
	digest, ok := strings.CutPrefix(string(multihash), sha256Multihash)
	if !ok || len(digest) != sha256.Size {
		return nil
	}
	return []disk.Hash{disk.Hash([]byte(digest)), sha256.Sum256([]byte(contentPrefix + hex.EncodeToString([]byte(digest))))}
}

// AddProvider keeps a foreign peer's word for ForeignProviderTTL. Of its addresses the first few are kept.
func (f *Foreign) AddProvider(ctx context.Context, key []byte, info peer.AddrInfo) (err error) {
	if err := f.s.enter(); err != nil {
		return err
	}
	defer f.s.tasks.Done()
	defer f.metrics.count("add-provider", &err)
	if len(key) == 0 || len(key) > maxForeignProviderKey {
		return fault.New(fault.Invalid, "a provider's key of %d bytes: want a multihash of 1 to %d", len(key), maxForeignProviderKey)
	}
	now := f.now()
	p := disk.ForeignProvider{ID: string(info.ID), Received: now, Expires: now + uint64(ForeignProviderTTL.Milliseconds())}
	size := 0
	for _, a := range info.Addrs {
		if b := a.Bytes(); len(b) <= disk.MaxForeignAddr && len(p.Addrs) < disk.MaxForeignAddrs {
			p.Addrs = append(p.Addrs, b)
			size += len(b)
		}
	}
	if err := f.await(ctx, size); err != nil {
		return err
	}
	return f.disk.PutProvider(ctx, sha256.Sum256(key), p, now)
}

// Providers returns the foreign providers of a multihash that this node was told of, and the members that provide a key which corresponds to it.
func (f *Foreign) Providers(ctx context.Context, key []byte) (list []peer.AddrInfo, err error) {
	if err := f.s.enter(); err != nil {
		return nil, err
	}
	defer f.s.tasks.Done()
	defer f.metrics.count("get-providers", &err)
	if len(key) == 0 || len(key) > maxForeignProviderKey {
		return nil, fault.New(fault.Invalid, "a provider's key of %d bytes: want a multihash of 1 to %d", len(key), maxForeignProviderKey)
	}
	members := f.members(ctx, hashesOf(key))
	foreign, err := f.disk.Providers(sha256.Sum256(key), f.now(), maxForeignProviders)
	if err != nil {
		return nil, err
	}
	found := members
	for _, p := range foreign {
		found = append(found, f.provider(&p))
	}
	seen := map[peer.ID]bool{}
	for _, p := range found {
		if !seen[p.ID] {
			seen[p.ID] = true
			list = append(list, peer.AddrInfo{ID: p.ID, Addrs: p.Addrs})
		}
	}
	return list, nil
}

// members returns the members that provide keys with the given hashes, as far as their holders answer: an answer on this protocol is never complete.
func (f *Foreign) members(ctx context.Context, hashes []disk.Hash) []Provider {
	found := make([][]Provider, len(hashes))
	var wg sync.WaitGroup
	for i, hash := range hashes {
		wg.Go(func() {
			var err error
			if found[i], err = f.s.signedProviders(ctx, hash, false); err != nil {
				f.s.logger.Debug("providers were not found for a foreign peer", "error", err)
			}
		})
	}
	wg.Wait()
	var all []Provider
	for _, list := range found {
		all = append(all, list...)
	}
	return all
}

// seek asks the nearest members for the foreign providers of a key. What it returns waits for the answers.
func (f *Foreign) seek(ctx context.Context, key Key) (wait func() []Provider) {
	found := make(chan []Provider, 1)
	f.s.tasks.Go(func() {
		answers, _, err := f.askNearest(ctx, foreignGetProviders, multihashOf(key))
		if err != nil {
			f.s.logger.Debug("foreign providers were not looked for", "key", key.text, "error", err)
		}
		found <- f.merge(answers)
	})
	return func() []Provider { return <-found }
}

// merge returns the newest entry of each provider that the answers tell of. What can't be true is left out.
func (f *Foreign) merge(answers [][]byte) []Provider {
	now := f.now()
	newest := map[string]disk.ForeignProvider{}
	for _, data := range answers {
		providers, err := unmarshalForeignProviders(data)
		if err != nil {
			continue
		}
		for _, p := range providers {
			if old, ok := newest[p.ID]; (!ok || old.Received < p.Received) && plausible(p.Received, p.Expires, now, ForeignProviderTTL) {
				newest[p.ID] = p
			}
		}
	}
	list := make([]Provider, 0, len(newest))
	for _, p := range newest {
		if _, err := peer.IDFromBytes([]byte(p.ID)); err == nil {
			list = append(list, f.provider(&p))
		}
	}
	return list
}

func (f *Foreign) provider(p *disk.ForeignProvider) Provider {
	out := Provider{ID: peer.ID(p.ID), Expires: timeOf(p.Expires), Foreign: true}
	for _, b := range p.Addrs {
		if a, err := ma.NewMultiaddrBytes(b); err == nil {
			out.Addrs = append(out.Addrs, a)
		}
	}
	return out
}

// withForeign adds to members the foreign providers that are none of them, up to maxForeignProviders. The result is sorted by id.
func withForeign(members, foreign []Provider) []Provider {
	known := make(map[peer.ID]bool, len(members))
	for _, p := range members {
		known[p.ID] = true
	}
	foreign = slices.DeleteFunc(foreign, func(p Provider) bool { return known[p.ID] })
	slices.SortFunc(foreign, byID)
	list := append(members, foreign[:min(len(foreign), maxForeignProviders)]...)
	slices.SortFunc(list, byID)
	return list
}

func byID(a, b Provider) int { return cmp.Compare(a.ID, b.ID) }
