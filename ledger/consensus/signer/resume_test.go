package signer

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	"github.com/folkmoot/folkmoot/fault"
)

// restored returns a signer that was restored from a backup taken at noon of one that had signed at height 7.
func restored(t *testing.T, stopped bool) (*Signer, string) {
	t.Helper()
	s, dir := create1(t)
	if err := s.SignVote(chain, vote(cmtproto.PrecommitType, 7, 2, 'a', noon)); err != nil {
		t.Fatal(err)
	}
	c, err := Take(dir, stopped)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "restored")
	if err := Restore(to, chain, c, noon); err != nil {
		t.Fatal(err)
	}
	return reopen(t, to), to
}

func wantBarred(t *testing.T, s *Signer, why string) {
	t.Helper()
	if err := s.Barred(); fault.KindOf(err) != fault.Forbidden {
		t.Fatalf("%s: not barred: %v", why, err)
	}
	if err := s.SignVote(chain, vote(cmtproto.PrevoteType, 1_000_000, 0, 'a', noon)); fault.KindOf(err) != fault.Forbidden {
		t.Fatalf("%s: signed: %v", why, err)
	}
}

// A restored key comes back once blocks are made without it after its owner vouched, and never before.
func TestRestoredKeyWaitsForTheChain(t *testing.T) {
	s, dir := restored(t, false)
	for h := range int64(9) {
		s.Decided(10+h, noon.Add(time.Hour), false)
	}
	wantBarred(t, s, "before anybody vouched")
	if err := s.Vouch(noon, false); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir)
	if err := s.Resume(20, true); s.GivenUp() || fault.KindOf(err) != fault.Forbidden {
		t.Fatalf("resumed what was not given up: %v", err)
	}
	wantBarred(t, s, "nothing was given up")
	early, late := noon.Add(clockLeeway), noon.Add(clockLeeway+quietTime+time.Millisecond)
	for i, at := range []time.Time{
		early, early, early, // of a time at which it may have been in use
		early.Add(time.Second), early.Add(time.Second), early.Add(time.Second), early.Add(quietTime), // not watched for long enough
	} {
		s.Decided(int64(21+i), at, at.Equal(early))
		wantBarred(t, s, "too early")
	}
	s = reopen(t, dir)
	for h := range int64(2) {
		s.Decided(28+h, late, false)
		wantBarred(t, s, "one block without the key, or two")
	}
	s.Decided(30, late, false)
	if err := s.Barred(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir)
	if err := s.SignVote(chain, vote(cmtproto.PrecommitType, 30, math.MaxInt32, 'a', noon)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("signed where the old one may have: %v", err)
	}
	if err := s.SignVote(chain, vote(cmtproto.PrevoteType, 31, 0, 'a', noon)); err != nil {
		t.Error(err)
	}
	// The old one was not gone after all.
	s.Witness(32, 0, nil)
	wantBarred(t, s, "seen elsewhere")
}

// A key whose signature is seen where this signer gave another one is in use elsewhere.
func TestWitnessOfAnother(t *testing.T) {
	s, dir := create1(t)
	v := vote(cmtproto.PrecommitType, 7, 0, 'a', noon)
	if err := s.SignVote(chain, v); err != nil {
		t.Fatal(err)
	}
	s.Witness(7, 0, v.Signature)
	if err := s.Barred(); err != nil {
		t.Fatal(err)
	}
	s.Witness(7, 0, bytes.Repeat([]byte{1}, 64))
	wantBarred(t, reopen(t, dir), "another signature")
}

// An owner who is proven wrong has to vouch again.
func TestOldOneIsNotGone(t *testing.T) {
	s, dir := restored(t, false)
	if err := s.Vouch(noon, false); err != nil {
		t.Fatal(err)
	}
	s.Decided(20, noon.Add(clockLeeway+time.Millisecond), true)
	s = reopen(t, dir)
	for h := range int64(9) {
		s.Decided(21+h, noon.Add(time.Hour), false)
	}
	wantBarred(t, s, "the old one signs")
	if err := s.Vouch(noon, false); err != nil {
		t.Fatal(err)
	}
	for h := range int64(3) {
		s.Decided(30+h, noon.Add(time.Hour), false)
	}
	if err := s.Barred(); err != nil {
		t.Error(err)
	}
}

// What was signed since a backup can be given up where nobody had to see it, or where nothing was.
func TestGivenUp(t *testing.T) {
	for _, c := range []struct {
		name                        string
		vouched, given, stopped, at bool
		want                        bool
	}{
		{"alone", true, true, false, true, true},
		{"among others, of a stopped node", true, true, true, false, true},
		{"among others, of a running node", true, true, false, false, false},
		{"nothing given up", true, false, true, true, false},
		{"nobody vouched", false, false, true, true, false},
	} {
		s, dir := restored(t, c.stopped)
		if c.vouched {
			if err := s.Vouch(noon, c.given); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Resume(6, c.at); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.want {
			wantBarred(t, s, c.name)
			continue
		}
		s = reopen(t, dir)
		// What the backup knows of is not signed again but as it was.
		if err := s.SignVote(chain, vote(cmtproto.PrecommitType, 7, 2, 'b', noon)); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s: signed twice: %v", c.name, err)
		}
		if err := errors.Join(s.SignVote(chain, vote(cmtproto.PrecommitType, 7, 2, 'a', noon)), s.SignVote(chain, vote(cmtproto.PrevoteType, 8, 0, 'a', noon))); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A chain that lacks what the key signed is no chain to go on from, however sure the owner is.
func TestResumeNeedsTheBlocks(t *testing.T) {
	s, dir := restored(t, true) // signed at height 7
	if err := s.Vouch(noon, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Resume(5, true); fault.KindOf(err) != fault.Forbidden {
		t.Fatalf("resumed with 5 blocks: %v", err)
	}
	wantBarred(t, s, "block 6 is lacking")
	s = reopen(t, dir)
	if err := s.Resume(6, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Resume(6, true); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// A backup says that its node had stopped, and the key has signed since: the backup was not the last word.
func TestStoppedAndStartedAgain(t *testing.T) {
	s, dir := restored(t, true)
	if err := s.Vouch(noon, true); err != nil {
		t.Fatal(err)
	}
	s.Witness(7, 2, nil)
	s.Witness(9, 0, nil)
	s = reopen(t, dir)
	if err := s.Resume(9, false); fault.KindOf(err) != fault.Forbidden {
		t.Fatalf("resumed beside others: %v", err)
	}
	wantBarred(t, s, "it signed after the backup")
	if err := s.Resume(9, true); err != nil { // alone, its owner may give that up
		t.Fatal(err)
	}
	if err := s.SignVote(chain, vote(cmtproto.PrevoteType, 9, 5, 'a', noon)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("signed at the height that it was seen at: %v", err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	s, dir := create1(t)
	c, err := Take(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	_, other := create1(t)
	foreign, err := Take(other, true)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]struct {
		dir, chain string
		copy       Copy
		want       fault.Kind
	}{
		"another chain":       {filepath.Join(t.TempDir(), "x"), "other-chain", *c, fault.Invalid},
		"no chain":            {filepath.Join(t.TempDir(), "x"), "", *c, fault.Invalid},
		"another key's state": {filepath.Join(t.TempDir(), "x"), chain, Copy{Key: c.Key, State: foreign.State}, fault.Invalid},
		"no key":              {filepath.Join(t.TempDir(), "x"), chain, Copy{State: c.State}, fault.Invalid},
		"no state":            {filepath.Join(t.TempDir(), "x"), chain, Copy{Key: c.Key}, fault.Invalid},
		"over another key":    {other, chain, *c, fault.Conflict},
	} {
		if err := Restore(r.dir, r.chain, &r.copy, noon); fault.KindOf(err) != r.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Take(t.TempDir(), true); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a copy of nothing: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, StateFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Take(dir, true); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a copy of a damaged state: %v", err)
	}
	if err := s.Vouch(noon, false); fault.KindOf(err) != fault.Invalid {
		t.Errorf("vouched for a key that votes: %v", err)
	}
	// A key that was made and is for no chain yet is for the network's when it is restored, and barred all the same.
	unused := filepath.Join(t.TempDir(), "unused")
	if _, err := Generate(unused); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "to")
	if c, err = Take(unused, true); err == nil {
		err = Restore(to, chain, c, noon)
	}
	if err != nil {
		t.Fatal(err)
	}
	wantBarred(t, reopen(t, to), "unused")
}

// A key that was moved to another chain begins there, and signs for the first no more.
func TestMove(t *testing.T) {
	const second = "second-chain"
	s, dir := create1(t)
	if err := s.SignVote(chain, vote(cmtproto.PrecommitType, 7, 2, 'a', noon)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing is left to do
		if err := Move(dir, chain, second); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, chain); fault.KindOf(err) != fault.Invalid {
		t.Errorf("opened for the first chain: %v", err)
	}
	s, err := Open(dir, second)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SignVote(chain, vote(cmtproto.PrevoteType, 8, 0, 'a', noon)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("signed for the first chain: %v", err)
	}
	if err := s.SignVote(second, vote(cmtproto.PrevoteType, 1, 0, 'a', noon)); err != nil {
		t.Error(err)
	}
	if err := Move(dir, chain, "third"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("moved from where it was not: %v", err)
	}
	_, barred := restored(t, false)
	if err := Move(barred, chain, second); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(barred, second); err != nil || fault.KindOf(s.Barred()) != fault.Forbidden {
		t.Errorf("a move lifts the bar: %v", err)
	}
}

// TestVoted: the vote that was given is told where another is asked for, and no vote that was not the last.
func TestVoted(t *testing.T) {
	s, _ := create1(t)
	given := vote(cmtproto.PrevoteType, 7, 0, 'a', noon)
	if s.Voted(vote(cmtproto.PrevoteType, 7, 0, 'a', noon)) {
		t.Error("voted before")
	}
	if err := s.SignVote(chain, given); err != nil {
		t.Fatal(err)
	}
	for _, other := range []*cmtproto.Vote{vote(cmtproto.PrecommitType, 7, 0, 'a', noon), vote(cmtproto.PrevoteType, 7, 1, 'a', noon), vote(cmtproto.PrevoteType, 8, 0, 'a', noon), vote(cmtproto.PrevoteType, 6, 0, 'a', noon)} {
		if s.Voted(other) {
			t.Errorf("a vote is told that was never given: %v", other)
		}
	}
	asked := vote(cmtproto.PrevoteType, 7, 0, 'b', noon.Add(time.Second))
	if !s.Voted(asked) || !reflect.DeepEqual(asked, given) {
		t.Errorf("the vote that is told is %v, and %v was given", asked, given)
	}
	none := vote(cmtproto.PrecommitType, 7, 0, 'a', noon)
	none.BlockID = cmtproto.BlockID{}
	if err := s.SignVote(chain, none); err != nil {
		t.Fatal(err)
	}
	if asked = vote(cmtproto.PrecommitType, 7, 0, 'b', noon); !s.Voted(asked) || !reflect.DeepEqual(asked, none) {
		t.Errorf("the vote that is told is %v, and %v was given", asked, none)
	}
}
