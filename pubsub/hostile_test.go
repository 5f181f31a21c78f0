package pubsub

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gossipsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"
)

// attacker speaks gossipsub to a victim by hand, and takes the victim's streams, from which it reads nothing.
func (l *lab) attacker(victim *labPeer) (*labPeer, network.Stream) {
	l.t.Helper()
	evil := l.peers[len(l.peers)-1]
	evil.Close()
	evil.host.SetStreamHandler(Protocol(victim.cfg.Network), func(network.Stream) {})
	stream, err := evil.host.NewStream(l.t.Context(), victim.host.ID(), Protocol(victim.cfg.Network))
	if err != nil {
		l.t.Fatal(err)
	}
	return evil, stream
}

func (l *lab) send(stream network.Stream, rpc *pb.RPC) error {
	l.t.Helper()
	body, err := rpc.Marshal()
	if err != nil {
		l.t.Fatal(err)
	}
	_, err = stream.Write(append(binary.AppendUvarint(nil, uint64(len(body))), body...))
	return err
}

// What is not signed, or signed by another than it says, is not delivered, and a few of such cost the speaker everybody's ear.
func TestForgedMessagesSilenceTheSpeaker(t *testing.T) {
	simulate(t, 3, everybody, func(t *testing.T, l *lab) {
		victim, honest := l.peers[0], l.peers[1]
		sub := l.subscribe(victim, "news")
		time.Sleep(2 * time.Second)
		evil, stream := l.attacker(victim)
		topic := victim.prefix + "news"
		if err := l.send(stream, &pb.RPC{Publish: []*pb.Message{l.sign(evil, topic, 1, "signed")}}); err != nil {
			t.Fatal(err)
		}
		l.hears(sub, time.Second, "signed")
		for i := range 10 {
			m := &pb.Message{Topic: &topic, From: []byte(honest.host.ID()), Seqno: []byte(fmt.Sprintf("%08d", i)), Data: encodeMessage(time.Now(), []byte("forged")), Signature: make([]byte, 64)}
			if err := l.send(stream, &pb.RPC{Publish: []*pb.Message{m}}); err != nil {
				t.Fatal(err)
			}
		}
		l.silent(sub, 2*time.Second)
		if got := victim.near.offences(evil.host.ID()); got < maxOffences {
			t.Errorf("the forger's offences are %.1f, want %d or more", got, maxOffences)
		}
		// The honest peer is heard, all the same.
		l.publish(honest, "news", "honest")
		l.hears(sub, time.Second, "honest")
		// The forger is not, even where it signs.
		if err := l.send(stream, &pb.RPC{Publish: []*pb.Message{l.sign(evil, topic, 2, "signed again")}}); err != nil {
			t.Fatal(err)
		}
		l.silent(sub, 2*time.Second)
	})
}

// sign makes a message as gossipsub's authors do.
func (l *lab) sign(author *labPeer, topic string, seq int, text string) *pb.Message {
	l.t.Helper()
	m := &pb.Message{Topic: &topic, From: []byte(author.host.ID()), Seqno: []byte(fmt.Sprintf("%08d", seq)), Data: encodeMessage(time.Now(), []byte(text))}
	body, err := m.Marshal()
	if err != nil {
		l.t.Fatal(err)
	}
	key := author.host.Peerstore().PrivKey(author.host.ID())
	if m.Signature, err = key.Sign(append([]byte(gossipsub.SignPrefix), body...)); err != nil {
		l.t.Fatal(err)
	}
	return m
}

// Nothing is kept of what a neighbour says that it follows once it is gone, though it never took a stream, or closes those that it has.
func TestAnnouncementsOfWhoTakesNoStreams(t *testing.T) {
	for name, take := range map[string]network.StreamHandler{
		"none":   nil,
		"closed": func(s network.Stream) { time.Sleep(100 * time.Millisecond); s.Reset() },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, everybody, func(t *testing.T, l *lab) {
				victim := l.peers[0]
				l.subscribe(victim, "news")
				time.Sleep(2 * time.Second)
				evil, _ := l.attacker(victim)
				if take == nil {
					evil.host.RemoveStreamHandler(Protocol(victim.cfg.Network))
				} else {
					evil.host.SetStreamHandler(Protocol(victim.cfg.Network), take)
				}
				_ = victim.host.Network().ClosePeer(evil.host.ID())
				time.Sleep(time.Second)
				l.connect(2, 0)
				stream, err := evil.host.NewStream(t.Context(), victim.host.ID(), Protocol(victim.cfg.Network))
				if err != nil {
					t.Fatal(err)
				}
				yes := true
				for i := range 20 {
					topic := fmt.Sprintf("%swaste-%d", victim.prefix, i)
					if l.send(stream, &pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Topicid: &topic, Subscribe: &yes}}}) != nil {
						break
					}
					time.Sleep(time.Second)
				}
				evil.host.Close()
				time.Sleep(5 * time.Second)
				victim.announced.mu.Lock()
				kept := len(victim.announced.peers[evil.host.ID()])
				victim.announced.mu.Unlock()
				if kept > 0 {
					t.Errorf("%d topics of a peer that is gone are kept", kept)
				}
			})
		})
	}
}

// A neighbour that says it follows many topics, again and again, has few of them searched for, and does not hold up those of others.
func TestManyTopicsOfOneNeighbour(t *testing.T) {
	simulate(t, 0, nil, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancel(context.Background())
		defer time.Sleep(time.Minute)
		defer cancel()
		var searches atomic.Int64
		l.add(ctx, Config{Network: testNetwork(t, "a"), Meet: func(context.Context, string) ([]peer.AddrInfo, error) {
			searches.Add(1)
			time.Sleep(100 * time.Millisecond)
			return []peer.AddrInfo{l.peers[0].info()}, nil
		}, Here: func(topic string) bool { return topic != "elsewhere" }})
		for i := range 2 {
			l.add(ctx, Config{Network: testNetwork(t, "a")})
			l.connect(i+1, 0)
		}
		victim, honest := l.peers[0], l.peers[1]
		_, stream := l.attacker(victim)
		yes, no := true, false
		for range 3 {
			var all []*pb.RPC_SubOpts
			for i := range maxAnnounced {
				topic := fmt.Sprintf("%swaste-%d", victim.prefix, i)
				all = append(all, &pb.RPC_SubOpts{Topicid: &topic, Subscribe: &no}, &pb.RPC_SubOpts{Topicid: &topic, Subscribe: &yes})
			}
			if err := l.send(stream, &pb.RPC{Subscriptions: all}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		l.subscribe(honest, "news")
		l.subscribe(honest, "elsewhere")
		carries := func(name string) bool {
			victim.carried.mu.Lock()
			defer victim.carried.mu.Unlock()
			return victim.carried.topics[victim.prefix+name] != nil
		}
		time.Sleep(10 * time.Second)
		if !carries("news") {
			t.Errorf("an honest topic is not passed on after 10 s and %d searches", searches.Load())
		}
		if carries("elsewhere") {
			t.Error("a topic is passed on that meets elsewhere")
		}
		time.Sleep(10 * carryInterval)
		if n, most := searches.Load(), int64(newsBurst+11*(carryInterval.Seconds()*newsRate+maxAttended)+10); n > most {
			t.Errorf("%d searches, want at most %d", n, most)
		}
	})
}

// One that publishes without end is soon not listened to by its neighbour: what it says costs a bounded amount of memory, and what others say comes as quickly as before.
func TestSpam(t *testing.T) {
	simulate(t, 3, everybody, func(t *testing.T, l *lab) {
		victim, honest := l.peers[0], l.peers[1]
		sub := l.subscribe(victim, "news")
		time.Sleep(2 * time.Second)
		evil, stream := l.attacker(victim)
		heap := func() int64 {
			var s runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&s)
			return int64(s.HeapAlloc)
		}
		delivered := 0
		delay := func(text string) time.Duration {
			t.Helper()
			began := time.Now()
			l.publish(honest, "news", text)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			for {
				m, err := sub.Next(ctx)
				if err != nil {
					t.Fatalf("%q does not come: %v", text, err)
				}
				if m.Author == honest.host.ID() {
					return time.Since(began)
				}
				delivered += 1 + int(m.Missed)
			}
		}
		quick, before := delay("before"), heap()
		topic, large := victim.prefix+"news", strings.Repeat("x", MaxMessage)
		const spam, parts = neighbourBurst + neighbourRate/2 + 2*maxOffences, 8
		most, during, began := before, time.Duration(0), time.Now()
		for i := range spam {
			text := "spam"
			if i%32 == 0 {
				text = large
			}
			if err := l.send(stream, &pb.RPC{Publish: []*pb.Message{l.sign(evil, topic, i, text)}}); err != nil {
				break // cut off
			}
			if i%(spam/parts) == 0 {
				time.Sleep(10 * time.Millisecond)
				most, during = max(most, heap()), max(during, delay(fmt.Sprint("during ", i)))
			}
		}
		offences, took := victim.near.offences(evil.host.ID()), time.Since(began)
		time.Sleep(time.Minute)
		after, left := delay("after"), heap()
		t.Logf("%d messages of one neighbour within %s: %d were delivered; those of another took %s before, up to %s during and %s after; the heap was %d, up to %d and %d KiB; offences %.0f", spam, took, delivered, quick, during, after, before>>10, most>>10, left>>10, offences)
		if during > time.Second || after > time.Second {
			t.Errorf("the messages of others took %s and %s", during, after)
		}
		if bound := int64(maxQueuedBytes + neighbourBytesBurst); most-before > bound || left-before > maxQueuedBytes {
			t.Errorf("the heap has grown by %d bytes, and after a minute by %d, want up to %d and %d", most-before, left-before, bound, maxQueuedBytes)
		}
		if bound := authorBurst + int(authorRate*(1+took.Seconds())); delivered > bound || delivered == 0 {
			t.Errorf("%d messages of the spammer were delivered, want some and at most %d", delivered, bound)
		}
		if offences < maxOffences {
			t.Errorf("its offences are %.0f, and it is listened to", offences)
		}
	})
}

// A neighbour that names peers has this node connect to those that it knows by itself, where it knows them to be, and not too fast.
func TestPeersThatANeighbourNames(t *testing.T) {
	simulate(t, 0, nil, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancel(context.Background())
		defer time.Sleep(time.Minute)
		defer cancel()
		var asked atomic.Int64
		known := func(p peer.ID) []ma.Multiaddr {
			asked.Add(1)
			if p == l.peers[1].host.ID() {
				return l.peers[1].info().Addrs
			}
			return nil
		}
		l.add(ctx, Config{Network: testNetwork(t, "a"), Known: known})
		for range 3 {
			l.add(ctx, Config{Network: testNetwork(t, "a")})
		}
		victim, friend, stranger := l.peers[0], l.peers[1], l.peers[2]
		l.connect(3, 0)
		l.subscribe(victim, "news")
		time.Sleep(2 * time.Second)
		_, stream := l.attacker(victim)
		name := func(infos ...*pb.PeerInfo) {
			t.Helper()
			topic := victim.prefix + "news"
			if err := l.send(stream, &pb.RPC{Control: &pb.ControlMessage{Prune: []*pb.ControlPrune{{TopicID: &topic, Peers: infos}}}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		told := func(p *labPeer) *pb.PeerInfo {
			t.Helper()
			signed, err := record.Seal(peer.PeerRecordFromAddrInfo(p.info()), p.host.Peerstore().PrivKey(p.host.ID()))
			if err != nil {
				t.Fatal(err)
			}
			data, err := signed.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			return &pb.PeerInfo{PeerID: []byte(p.host.ID()), SignedPeerRecord: data}
		}
		name(told(friend), told(stranger))
		for p, want := range map[*labPeer]network.Connectedness{friend: network.Connected, stranger: network.NotConnected} {
			if got := victim.host.Network().Connectedness(p.host.ID()); got != want {
				t.Errorf("peer at %s: %s, want %s", p.addr, got, want)
			}
		}
		if asked.Load() != 2 {
			t.Fatalf("%d peers were looked up, want those that were named", asked.Load())
		}
		victim.exchanged.SetLimit(0)
		victim.exchanged.AllowN(time.Now(), int(victim.exchanged.Tokens()))
		_ = victim.host.Network().ClosePeer(friend.host.ID())
		name(told(friend))
		if victim.host.Network().Connectedness(friend.host.ID()) == network.Connected {
			t.Error("there was no allowance left")
		}
	})
}

func TestFloodsOfOneNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAllowances(neighbourRate, neighbourBurst, neighbourBytes, neighbourBytesBurst)
		for range neighbourBurst {
			if !a.take("flooder", 100) {
				t.Fatal("refused within the burst")
			}
		}
		for range 100 {
			a.take("flooder", 100)
		}
		if over := a.offences("flooder"); over < maxOffences {
			t.Errorf("after 100 more its offences are %.0f, want %d or more", over, maxOffences)
		}
		if !a.take("other", 100) || a.offences("other") > 0 {
			t.Error("another peer pays for it")
		}
		time.Sleep(10 * offenceHalfLife)
		if over := a.offences("flooder"); over > 1 {
			t.Errorf("it is still remembered with %.1f", over)
		}
		for i := range maxCounted + 100 {
			a.take(peer.ID(fmt.Sprint(i)), 1)
		}
		if len(a.peers) > maxCounted {
			t.Errorf("%d peers are kept apart", len(a.peers))
		}
	})
}

func TestAnnouncementsAreBound(t *testing.T) {
	a := newAnnounced("net/", func(string) {})
	yes, no := true, false
	sub := func(topic string, follows *bool) *pb.RPC_SubOpts {
		return &pb.RPC_SubOpts{Topicid: &topic, Subscribe: follows}
	}
	a.meet("greedy")
	a.meet("other")
	kept := 0
	for i := range 2 * maxAnnounced {
		subs, err := a.FilterIncomingSubscriptions("greedy", []*pb.RPC_SubOpts{sub(fmt.Sprintf("net/%d", i), &yes)})
		if err != nil {
			t.Fatal(err)
		}
		kept += len(subs)
	}
	if kept != maxAnnounced || len(a.topics()) != maxAnnounced {
		t.Errorf("%d topics of one peer are kept, want %d", kept, maxAnnounced)
	}
	subs, err := a.FilterIncomingSubscriptions("other", []*pb.RPC_SubOpts{
		sub("elsewhere/x", &yes), sub("net/", &yes), sub("net/a\x00", &yes), sub("net/x", &yes), sub("net/x", &no), sub("net/y", &no),
	})
	if err != nil || len(subs) != 2 {
		t.Errorf("%d announcements are kept, %v; want that x is followed, and then not", len(subs), err)
	}
	if _, err := a.FilterIncomingSubscriptions("endless", make([]*pb.RPC_SubOpts, 2*maxAnnounced+1)); err != gossipsub.ErrTooManySubscriptions {
		t.Errorf("an endless announcement: %v", err)
	}
	a.forget("greedy")
	if len(a.topics()) != 0 {
		t.Errorf("%d topics are left of peers that went", len(a.topics()))
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(encodeMessage(time.Now(), []byte("hello")))
	f.Add(encodeMessage(time.Unix(0, 0), nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		published, data, err := decodeMessage(raw)
		if err != nil {
			return
		}
		if again := encodeMessage(published, data); string(again) != string(raw) {
			t.Errorf("%x is read and written as %x", raw, again)
		}
	})
}
