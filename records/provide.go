package records

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// searchTimeout bounds how long a search looks beyond the holders before it says that nobody provides a key.
	searchTimeout = 300 * time.Millisecond
	// searchFactor times the copies configured is how many members besides the holders it asks then.
	searchFactor = 2
)

// Provide tells the key's holders that this node has what key names, and goes on telling them every 12 hours and whenever they change, over restarts too. Errors are those of Put.
func (s *Store) Provide(ctx context.Context, text string) (w Written, err error) {
	if err := s.enter(); err != nil {
		return Written{}, err
	}
	defer s.tasks.Done()
	defer s.metrics.begin("provide")(&err)
	key, err := ParseKey(text)
	if err != nil {
		return Written{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	if err := s.renewals.add(ctx, s.holder.disk, text); err != nil {
		return Written{}, fmt.Errorf("provide %q: %w", text, err)
	}
	return s.offer(ctx, key)
}

// offer signs a provider record and brings it to the key's holders.
func (s *Store) offer(ctx context.Context, key Key) (Written, error) {
	now := s.cfg.Now()
	hash := key.hash()
	place, err := s.locate(ctx, disk.ShardOf(hash))
	if err != nil {
		return Written{}, fmt.Errorf("provide %q: %w", key.text, err)
	}
	if err := place.enough(key.text, Quorum); err != nil {
		return Written{}, err
	}
	stamp, err := s.holder.clock.next(ctx)
	if err != nil {
		return Written{}, fmt.Errorf("provide %q: %w", key.text, err)
	}
	o := offer{hash: hash, time: stamp, expires: millis(stamp.Time().Add(ProviderTTL))}
	sealed, err := sealOffer(s.holder.offers, s.cfg.Key, s.author, o)
	if err != nil {
		return Written{}, fmt.Errorf("provide %q: %w", key.text, err)
	}
	tally := s.replicate(ctx, &place, Quorum, true, opPutProvider, sealed.envelope, func(ctx context.Context) response {
		return s.holder.putOffer(ctx, &sealed)
	})
	if !tally.acknowledged() {
		return Written{}, tally.err(key.text)
	}
	s.renewals.done(key.text, now, fingerprint(&place))
	w := s.written(tally, key.text, versionOf(sealed.rank))
	w.Expires = timeOf(o.expires)
	return w, nil
}

// Providers returns who provides what key names, as a quorum of the key's holders knows, sorted by id. Peers that are known to be dead or away are left out. It is
// fault.Unavailable when fewer than a quorum answered; no providers are no error. Foreign peers are added that the members nearest to the key's multihash know of.
func (s *Store) Providers(ctx context.Context, text string) (list []Provider, err error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.tasks.Done()
	defer s.metrics.begin("providers")(&err)
	key, err := ParseKey(text)
	if err != nil {
		return nil, err
	}
	foreign := s.foreign.seek(ctx, key)
	members, err := s.signedProviders(ctx, key.hash(), true)
	others := foreign()
	if err != nil {
		return nil, fmt.Errorf("providers of %q: %w", text, err)
	}
	return withForeign(members, others), nil
}

// signedProviders returns the members that provide the key with the given hash, sorted by id. Unless thorough, it does not search on where the holders know none.
func (s *Store) signedProviders(ctx context.Context, hash disk.Hash, thorough bool) ([]Provider, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	place, err := s.locate(ctx, disk.ShardOf(hash))
	if err != nil {
		return nil, fmt.Errorf("find providers: %w", err)
	}
	ask := func(ctx context.Context, i int, _ bool) ([]signedOffer, error) {
		return s.askOffers(ctx, &place, hash, i)
	}
	outcomes := gather(s, ctx, place.topology, s.askOrder(place.topology, place.holders), place.quorum, ask)
	offers, answered := mergeOffers(outcomes)
	if answered < place.quorum {
		return nil, tooFewProviders(&place, outcomes, answered)
	}
	if len(offers) == 0 && thorough { // the holders may have changed since the providers told them
		search, cancel := context.WithTimeout(ctx, searchTimeout)
		defer cancel()
		further := place.further(searchFactor * s.cfg.Copies)
		offers, _ = mergeOffers(gather(s, search, place.topology, further, len(further), ask))
	}
	return s.present(place.topology, offers), nil
}

// askOffers asks a member for the provider records of a key and checks them. One that is forged spoils the answer.
func (s *Store) askOffers(ctx context.Context, p *placement, hash disk.Hash, i int) ([]signedOffer, error) {
	req := request{op: opGetProviders, hash: hash}
	resp, err := s.ask(ctx, p.member(i), &req, req.marshal())
	if err != nil {
		return nil, err
	}
	offers := make([]signedOffer, 0, len(resp.envelopes))
	for _, e := range resp.envelopes {
		o, err := openOffer(s.holder.offers, e)
		if err != nil {
			return nil, fmt.Errorf("provider record from %s: %w", p.id(i), err)
		}
		if o.hash != hash {
			return nil, fault.New(fault.Invalid, "provider record from %s: of another key", p.id(i))
		}
		offers = append(offers, o)
	}
	return offers, nil
}

// mergeOffers returns the newest offer of each provider, and how many members answered.
func mergeOffers(outcomes []outcome[[]signedOffer]) (offers map[disk.Author]signedOffer, answered int) {
	offers = map[disk.Author]signedOffer{}
	for _, o := range outcomes {
		if o.err != nil {
			continue
		}
		answered++
		for _, offer := range o.answer {
			if old, ok := offers[offer.author]; !ok || old.rank.Compare(offer.rank) < 0 {
				offers[offer.author] = offer
			}
		}
	}
	return offers, answered
}

// present leaves out who is known to be gone and adds addresses.
func (s *Store) present(t *topology, offers map[disk.Author]signedOffer) []Provider {
	now := millis(s.cfg.Now())
	list := make([]Provider, 0, len(offers))
	for author, o := range offers {
		id := peerIDOf(author)
		m, known := t.view.Member(id)
		if o.expires <= now || known && (m.State == routing.Dead || m.State == routing.Away) {
			continue
		}
		list = append(list, Provider{ID: id, Addrs: s.addrsOf(id, m.Addrs), Expires: timeOf(o.expires)})
	}
	slices.SortFunc(list, func(a, b Provider) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (s *Store) addrsOf(id peer.ID, known []ma.Multiaddr) []ma.Multiaddr {
	switch {
	case len(known) > 0:
		return known
	case id == s.self:
		return s.cfg.Host.Addrs()
	}
	return s.cfg.Host.Peerstore().Addrs(id)
}

func tooFewProviders(p *placement, outcomes []outcome[[]signedOffer], answered int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d holders needed answered (wanted %d)", answered, p.quorum, p.wanted)
	for _, o := range outcomes {
		if o.err != nil {
			fmt.Fprintf(&b, "; %s %s", p.id(o.member), complaint(o.err))
		}
	}
	b.WriteString("; try again or check `moot peers`")
	return fault.New(fault.Unavailable, "%s", b.String())
}

// fingerprint changes when a key's holders do.
func fingerprint(p *placement) [sha256.Size]byte {
	h := sha256.New()
	for _, i := range p.holders {
		h.Write(p.hashes[i][:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// renew tells the holders of this node's keys again where that is due.
func (s *Store) renew(ctx context.Context) {
	t := s.currentTopology()
	for _, text := range s.renewals.keys() {
		key, err := ParseKey(text)
		if err != nil {
			s.logger.Warn("a provided key is not valid", "key", text, "error", err)
			continue
		}
		place := t.place(disk.ShardOf(key.hash()))
		if place.vague && !s.renewals.old(text, s.cfg.Now()) || !place.vague && !s.renewals.due(text, s.cfg.Now(), fingerprint(&place)) {
			continue
		}
		if err := s.renewOne(ctx, key); ctx.Err() != nil {
			return
		} else if err != nil {
			s.logger.Debug("a provider record was not renewed; tried again soon", "key", text, "error", err)
		}
	}
}

func (s *Store) renewOne(ctx context.Context, key Key) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	_, err := s.offer(ctx, key)
	return err
}
