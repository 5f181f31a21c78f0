package signer

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
)

const chain = "test-chain"

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

func create1(t *testing.T) (*Signer, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := Create(dir, chain)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func reopen(t *testing.T, dir string) *Signer {
	t.Helper()
	s, err := Open(dir, chain)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func vote(kind cmtproto.SignedMsgType, height int64, round int32, block byte, at time.Time) *cmtproto.Vote {
	v := &cmtproto.Vote{Type: kind, Height: height, Round: round, Timestamp: at}
	if block != 0 {
		h := bytes.Repeat([]byte{block}, 32)
		v.BlockID = cmtproto.BlockID{Hash: h, PartSetHeader: cmtproto.PartSetHeader{Total: 1, Hash: h}}
	}
	return v
}

func prop(height int64, round int32, block byte, at time.Time) *cmtproto.Proposal {
	return &cmtproto.Proposal{Type: cmtproto.ProposalType, Height: height, Round: round, PolRound: -1, Timestamp: at, BlockID: vote(1, height, round, block, at).BlockID}
}

// The signer signs each place in the chain once, in the order in which the places come, also after it was opened anew.
func TestNeverTwice(t *testing.T) {
	s, dir := create1(t)
	const pre, com = cmtproto.PrevoteType, cmtproto.PrecommitType
	for i, c := range []struct {
		vote *cmtproto.Vote
		prop *cmtproto.Proposal
		want fault.Kind
		ok   bool
	}{
		{prop: prop(5, 1, 'a', noon), ok: true},
		{prop: prop(5, 1, 'a', noon), ok: true},
		{prop: prop(5, 1, 'b', noon), want: fault.Conflict},
		{vote: vote(pre, 5, 1, 'a', noon), ok: true},
		{prop: prop(5, 1, 'a', noon), want: fault.Conflict},
		{vote: vote(pre, 5, 1, 'b', noon), want: fault.Conflict},
		{vote: vote(pre, 5, 1, 0, noon), want: fault.Conflict},
		{vote: vote(com, 5, 0, 'a', noon), want: fault.Conflict},
		{vote: vote(com, 5, 1, 'a', noon), ok: true},
		{vote: vote(pre, 5, 1, 'a', noon), want: fault.Conflict},
		{vote: vote(com, 4, 9, 'a', noon), want: fault.Conflict},
		{vote: vote(com, 5, 2, 0, noon), ok: true},
		{vote: vote(pre, 6, 0, 0, noon), ok: true},
		{vote: vote(cmtproto.UnknownType, 7, 0, 'a', noon), want: fault.Invalid},
		{vote: vote(pre, 0, 0, 'a', noon), want: fault.Invalid},
		{vote: vote(pre, 7, -1, 'a', noon), want: fault.Invalid},
	} {
		var err error
		if c.prop != nil {
			err = s.SignProposal(chain, c.prop)
		} else {
			err = s.SignVote(chain, c.vote)
		}
		if (err == nil) != c.ok || !c.ok && fault.KindOf(err) != c.want {
			t.Fatalf("case %d: %v, want ok %v, kind %v", i, err, c.ok, c.want)
		}
		if !c.ok {
			continue
		}
		key, _ := s.GetPubKey()
		if c.prop != nil && !key.VerifySignature(types.ProposalSignBytes(chain, c.prop), c.prop.Signature) ||
			c.vote != nil && !key.VerifySignature(types.VoteSignBytes(chain, c.vote), c.vote.Signature) {
			t.Fatalf("case %d: the signature is wrong", i)
		}
		s = reopen(t, dir)
	}
}

// What is signed again with another time gets the time and the signature of the first.
func TestSameButForTime(t *testing.T) {
	s, dir := create1(t)
	first := vote(cmtproto.PrecommitType, 3, 0, 'a', noon)
	if err := s.SignVote(chain, first); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir)
	again := vote(cmtproto.PrecommitType, 3, 0, 'a', noon.Add(time.Second))
	again.Extension = []byte("x")
	if err := s.SignVote(chain, again); err != nil {
		t.Fatal(err)
	}
	if !again.Timestamp.Equal(noon) || !bytes.Equal(again.Signature, first.Signature) {
		t.Errorf("signed anew: %v", again.Timestamp)
	}
	key, _ := s.GetPubKey()
	if !key.VerifySignature(types.VoteExtensionSignBytes(chain, again), again.ExtensionSignature) {
		t.Error("the extension's signature is wrong")
	}
	p := prop(4, 0, 'a', noon)
	q := prop(4, 0, 'a', noon.Add(time.Second))
	if err := errors.Join(s.SignProposal(chain, p), s.SignProposal(chain, q)); err != nil || !q.Timestamp.Equal(noon) || !bytes.Equal(p.Signature, q.Signature) {
		t.Errorf("%v, %v", q.Timestamp, err)
	}
}

// The state is on disk when a signature leaves, and nothing leaves when it can't be.
func TestStateIsWrittenFirst(t *testing.T) {
	s, dir := create1(t)
	if err := os.Rename(dir, dir+"-gone"); err != nil { // so that no file can be made
		t.Fatal(err)
	}
	v := vote(cmtproto.PrevoteType, 1, 0, 'a', noon)
	if err := s.SignVote(chain, v); err == nil || v.Signature != nil {
		t.Fatalf("signed without a state: %v, %x", err, v.Signature)
	}
	if err := os.Rename(dir+"-gone", dir); err != nil {
		t.Fatal(err)
	}
	if err := s.SignVote(chain, vote(cmtproto.PrevoteType, 2, 0, 'a', noon)); err == nil {
		t.Error("went on after a write that failed")
	}
	if err := reopen(t, dir).SignVote(chain, v); err != nil {
		t.Errorf("after opening it anew: %v", err)
	}
}

// A key that was seen above its state is barred for good; one that was not goes on.
func TestWitness(t *testing.T) {
	s, dir := create1(t)
	if err := s.SignVote(chain, vote(cmtproto.PrecommitType, 7, 2, 'a', noon)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		height int64
		round  int32
	}{{6, 9}, {7, 1}, {7, 2}} {
		if s.Witness(c.height, c.round, nil); s.Barred() != nil {
			t.Fatalf("barred for its own signature at %v: %v", c, s.Barred())
		}
	}
	s.Witness(7, 3, nil)
	if fault.KindOf(s.Barred()) != fault.Forbidden {
		t.Fatalf("not barred: %v", s.Barred())
	}
	s = reopen(t, dir)
	if err := s.SignVote(chain, vote(cmtproto.PrecommitType, 100, 0, 'a', noon)); fault.KindOf(err) != fault.Forbidden {
		t.Fatalf("signed: %v", err)
	}
	// In a network of one the owner can give up what the state does not know of.
	if err := s.Vouch(noon, true); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir)
	if err := s.Resume(50, false); fault.KindOf(err) != fault.Forbidden || fault.KindOf(s.Barred()) != fault.Forbidden {
		t.Fatalf("not barred among others: %v", err)
	}
	if err := s.Resume(50, true); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir)
	if err := s.SignVote(chain, vote(cmtproto.PrecommitType, 50, math.MaxInt32, 'a', noon)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("signed at the height it was resumed above: %v", err)
	}
	if err := s.SignVote(chain, vote(cmtproto.PrevoteType, 51, 0, 'a', noon)); err != nil {
		t.Error(err)
	}
	if err := s.Vouch(noon, true); fault.KindOf(err) != fault.Invalid {
		t.Errorf("vouched for a key that votes: %v", err)
	}
}

// Files that are missing, damaged, of something else, or open to others are refused.
func TestRefusedFiles(t *testing.T) {
	other, otherDir := create1(t)
	if err := other.SignVote(chain, vote(cmtproto.PrevoteType, 1, 0, 'a', noon)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(dir string) error
		chain string
		want  fault.Kind
	}{
		"no key":        {spoil: func(d string) error { return os.Remove(filepath.Join(d, KeyFile)) }, want: fault.NotFound},
		"no state":      {spoil: func(d string) error { return os.Remove(filepath.Join(d, StateFile)) }, want: fault.Invalid},
		"another chain": {spoil: func(string) error { return nil }, chain: "other", want: fault.Invalid},
		"open key":      {spoil: func(d string) error { return os.Chmod(filepath.Join(d, KeyFile), 0o644) }, want: fault.Invalid},
		"open state":    {spoil: func(d string) error { return os.Chmod(filepath.Join(d, StateFile), 0o604) }, want: fault.Invalid},
		"another's state": {spoil: func(d string) error {
			data, err := os.ReadFile(filepath.Join(otherDir, StateFile))
			return errors.Join(err, os.WriteFile(filepath.Join(d, StateFile), data, 0o600))
		}, want: fault.Invalid},
		"damaged key": {spoil: func(d string) error { return flip(filepath.Join(d, KeyFile)) }, want: fault.Invalid},
		"empty state": {spoil: func(d string) error { return os.Truncate(filepath.Join(d, StateFile), 0) }, want: fault.Invalid},
		"a folder": {spoil: func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, StateFile)), os.Mkdir(filepath.Join(d, StateFile), 0o700))
		}, want: fault.Invalid},
	} {
		_, dir := create1(t)
		if err := c.spoil(dir); err != nil {
			t.Fatal(err)
		}
		want := chain
		if c.chain != "" {
			want = c.chain
		}
		if _, err := Open(dir, want); fault.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// flip changes a byte in the middle of a file.
func flip(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	return os.WriteFile(path, data, 0o600)
}

// Both files are the owner's alone.
func TestModes(t *testing.T) {
	s, dir := create1(t)
	if err := s.SignVote(chain, vote(cmtproto.PrevoteType, 1, 0, 'a', noon)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{KeyFile, StateFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != fs.FileMode(0o600) {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// Each byte of a state counts: none can be changed without its being noticed, but for digits and letters of the bar's reason.
func TestEachByteCounts(t *testing.T) {
	s, _ := create1(t)
	if err := s.SignVote(chain, vote(cmtproto.PrecommitType, 7, 2, 'a', noon)); err != nil {
		t.Fatal(err)
	}
	data, err := s.state.encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		for _, bit := range []byte{1, 2, 0x20} {
			spoilt := bytes.Clone(data)
			spoilt[i] ^= bit
			if got, err := decodeState(spoilt); err == nil {
				t.Errorf("byte %d: %q read as %+v", i, spoilt, got)
			}
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	s, err := Create(f.TempDir(), chain)
	if err != nil {
		f.Fatal(err)
	}
	add := func() {
		data, err := s.state.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	add()
	if err := s.SignProposal(chain, prop(1, 0, 'a', noon)); err != nil {
		f.Fatal(err)
	}
	add()
	if err := s.SignVote(chain, vote(cmtproto.PrecommitType, 2, 1, 'a', noon)); err != nil {
		f.Fatal(err)
	}
	add()
	s.Witness(9, 0, nil)
	add()
	if err := s.Vouch(noon, true); err != nil {
		f.Fatal(err)
	}
	add()
	if err := s.Resume(10, true); err != nil {
		f.Fatal(err)
	}
	add()
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeState(data)
		if err != nil {
			return
		}
		if again, err := got.encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q became %q, %v", data, again, err)
		}
	})
}

func FuzzDecodeKey(f *testing.F) {
	_, dir := createFuzz(f)
	data, err := os.ReadFile(filepath.Join(dir, KeyFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := decodeKey(data)
		if err != nil {
			return
		}
		if again, err := encodeKey(key); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q became %q, %v", data, again, err)
		}
	})
}

func createFuzz(f *testing.F) (*Signer, string) {
	dir := f.TempDir()
	s, err := Create(dir, chain)
	if err != nil {
		f.Fatal(err)
	}
	return s, dir
}

func TestKeyBeforeTheChain(t *testing.T) {
	dir := t.TempDir()
	made, err := Generate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Generate(dir); fault.KindOf(err) != fault.Conflict {
		t.Errorf("made twice: %v", err)
	}
	v := &cmtproto.Vote{Type: cmtproto.PrevoteType, Height: 1}
	if err := made.SignVote("", v); err == nil {
		t.Error("a key without a chain signs")
	}
	if _, err := Open(dir, "one"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("opened for a chain before it has one: %v", err)
	}
	for range 2 {
		s, err := Bind(dir, "one")
		if err != nil || s.PublicKey() != made.PublicKey() {
			t.Fatalf("bound: %v", err)
		}
	}
	if _, err := Bind(dir, "other"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("bound to another chain: %v", err)
	}
	if _, err := Bind(dir, ""); fault.KindOf(err) != fault.Invalid {
		t.Errorf("bound to none: %v", err)
	}
	s, err := Open(dir, "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SignVote("one", v); err != nil {
		t.Error(err)
	}
}
