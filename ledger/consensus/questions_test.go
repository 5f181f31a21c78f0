package consensus

import (
	"bytes"
	"context"
	"testing"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

func FuzzQuestion(f *testing.F) {
	f.Add(appendQuestion(questionSteps, 5, 9))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, a, b, err := parseQuestion(data)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%v is of kind %v", err, fault.KindOf(err))
			}
			return
		}
		if a < 0 || b < 0 || !bytes.Equal(appendQuestion(kind, a, b), data) {
			t.Errorf("%x was read as %d, %d, %d", data, kind, a, b)
		}
	})
}

// TestForgedAnswers: headers and changes of validators that are not the chain's are not believed, whoever gives them and however; and what was good of them stays.
func TestForgedAnswers(t *testing.T) {
	t.Parallel() // it waits more than it works
	n := newChainNet(t, 1<<40)
	v := n.validator(1)
	v.reach(n.setPower(v, 20) + 5)
	height := v.store.Tip().Height - 2
	honest := v.engine.answer
	answerer := func(change func(kind uint8, data []byte) []byte) peer.ID {
		h := consensustest.NewHost(t, NetworkID(n.genesis), tcp4)
		n.peers.Admit(consensustest.InfoOf(h))
		s, err := rpc.NewServer(rpc.ServerConfig{
			Host: h, Protocol: NetworkID(n.genesis).Protocol(syncProtocol), MaxMessage: maxAnswer,
			Handler: func(ctx context.Context, _ peer.ID, q []byte) ([]byte, error) {
				a, err := honest(ctx, v.host.ID(), q)
				if err != nil {
					return nil, err
				}
				return change(q[0], a), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return h.ID()
	}
	asks := consensustest.NewHost(t, NetworkID(n.genesis), tcp4)
	n.peers.Admit(consensustest.InfoOf(asks))
	client, err := rpc.NewClient(rpc.ClientConfig{Host: asks, Protocol: NetworkID(n.genesis).Protocol(syncProtocol), MaxMessage: maxAnswer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	flip := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)*3/4] ^= 1
		return b
	}
	steps := func(f func([]byte) []byte) func(uint8, []byte) []byte {
		return func(kind uint8, data []byte) []byte {
			if kind == questionSteps {
				return f(data)
			}
			return data
		}
	}
	liars := map[string]func(uint8, []byte) []byte{
		"no answer":       func(uint8, []byte) []byte { return nil },
		"not there":       func(uint8, []byte) []byte { return []byte{answerNotThere} },
		"an unknown code": func(uint8, []byte) []byte { return []byte{9} },
		"a bit of a header": func(kind uint8, d []byte) []byte {
			return map[bool][]byte{true: flip(d), false: d}[kind == questionHeader]
		},
		"more than a header": func(kind uint8, d []byte) []byte {
			return map[bool][]byte{true: append(d, 0), false: d}[kind == questionHeader]
		},
		"a bit of a change":  steps(flip),
		"a change left out":  steps(func(d []byte) []byte { return d[:9] }),
		"nothing covered":    steps(func(d []byte) []byte { return append([]byte{answerOK}, make([]byte, 8)...) }),
		"a part of a change": steps(func(d []byte) []byte { return d[:len(d)-1] }),
		"a change twice":     steps(func(d []byte) []byte { return append(bytes.Clone(d), d[9:]...) }),
	}
	var members []peer.ID
	provider := newProvider(t.Context(), GenesisDoc(n.genesis), &asker{client: client, members: func() []peer.ID { return members }})
	connect := func(id peer.ID) {
		t.Helper()
		for _, known := range n.peers.Known() {
			if known.ID == id {
				if err := asks.Connect(t.Context(), known); err != nil {
					t.Fatal(err)
				}
			}
		}
		members = append(members, id)
	}
	for what, change := range liars {
		members = nil
		connect(answerer(change))
		fresh := newProvider(t.Context(), GenesisDoc(n.genesis), provider.asker)
		if h, _, err := fresh.header(t.Context(), height); err == nil {
			t.Errorf("%s: the header of block %d is believed", what, h.Height)
		}
	}
	if _, _, err := provider.header(t.Context(), height); err == nil {
		t.Error("a liar alone is believed")
	}
	connect(v.host.ID())
	h, _, err := provider.header(t.Context(), height)
	if err != nil || h.Height != height || len(provider.steps) != 1 {
		t.Errorf("with somebody who tells the truth: %v, %v", h, err)
	}
	if hash, err := v.engine.BlockHash(height); err != nil || !bytes.Equal(h.Hash(), hash[:]) {
		t.Errorf("another block: %v", err)
	}
	// One that was led astray, with keys of former validators, where the chain did not go.
	astray := newProvider(t.Context(), GenesisDoc(n.genesis), provider.asker)
	forged := forgedStep(t, v, 2)
	if _, err := astray.chain.Step(&forged); err != nil {
		t.Fatal(err)
	}
	astray.steps = append(astray.steps, keptStep{2, forged})
	if err := astray.shown(t.Context(), v.host.ID(), height); err == nil {
		t.Error("it leads to the right chain")
	}
	o := &others{parts: &parts{genesis: GenesisDoc(n.genesis)}, asker: provider.asker, provider: astray}
	if err := o.shown(t.Context(), v.host.ID(), height); err != nil || o.provider == astray {
		t.Errorf("who was led astray sees nothing of the others' blocks any more: %v", err)
	}
	if _, err := provider.AppHash(t.Context(), 1<<40); err == nil {
		t.Error("a block that there is not has a root")
	}
	if _, err := provider.AppHash(t.Context(), 0); err == nil {
		t.Error("block 0 has a root")
	}
}

// forgedStep is a change of validators at a height that there never was, which the only validator has signed.
func forgedStep(t *testing.T, v *chainNode, height int64) (step light.Step) {
	t.Helper()
	next := types.NewValidatorSet([]*types.Validator{types.NewValidator(newCulprit().key.PubKey(), 10)})
	err := v.engine.Read(func(blocks *store.BlockStore, _ sm.Store) (err error) {
		h := blocks.LoadBlockMeta(height).Header
		h.NextValidatorsHash = next.Hash()
		key := cmted25519.PrivKey(keyIn(t, v.net.keys).Bytes())
		step.Signed, err = light.Encode(&h, commitOf(t, key, &h, blocks.LoadBlockCommit(height), time.Second))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	step.Next = light.Validators(next)
	return step
}
