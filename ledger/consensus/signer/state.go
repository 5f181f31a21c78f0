package signer

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/protoio"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cosmos/gogoproto/proto"
)

// A step is what is signed in a round, in the order in which it is.
type step int8

const (
	none step = iota
	proposal
	prevote
	precommit
)

var stepNames = [...]string{"none", "proposal", "prevote", "precommit"}

// stateVersion is the form of the state file, and restoredVersion that of one with what only the state of a restored key has: a program that does not know how such a key comes back to its vote refuses it.
const (
	stateVersion    = 1
	restoredVersion = 2
)

// maxBar is the length limit of the reason for a bar, in bytes.
const maxBar = 512

var errStateDamaged = errors.New("it is damaged or not a signer's state")

// state is what was last signed. It only ever grows.
type state struct {
	key ed25519.PubKey
	// chain is the one that the key is for; "": none yet.
	chain  string
	height int64
	round  int32
	step   step
	// bytes and signature are what was signed, both nil if nothing was, or if the signer was resumed above this height.
	bytes, signature []byte
	// bar is why nothing may be signed any more, or "".
	bar string
	// restored is when the backup that the key comes from was taken, in milliseconds since 1970, and stopped that its node did not run then; 0: from none.
	restored int64
	stopped  bool
	// vouched is when the owner of a barred key vouched that nothing else signs with it, in milliseconds since 1970, and given that what it signed since the backup is lost; 0: not yet.
	vouched int64
	given   bool
}

// version returns the form in which the state is written.
func (s *state) version() int {
	if s.restored != 0 || s.vouched != 0 {
		return restoredVersion
	}
	return stateVersion
}

// stateFile is the state as it is written.
type stateFile struct {
	Version   int    `json:"version"`
	Key       string `json:"key"`
	Chain     string `json:"chain"`
	Height    int64  `json:"height"`
	Round     int32  `json:"round"`
	Step      string `json:"step"`
	Bytes     string `json:"bytes"`
	Signature string `json:"signature"`
	Bar       string `json:"bar"`
	Restored  int64  `json:"restored,omitempty"`
	Stopped   bool   `json:"stopped,omitempty"`
	Vouched   int64  `json:"vouched,omitempty"`
	GivenUp   bool   `json:"given_up,omitempty"`
}

func (s *state) encode() ([]byte, error) {
	b, err := json.MarshalIndent(stateFile{
		Version: s.version(), Key: hex.EncodeToString(s.key), Chain: s.chain, Height: s.height, Round: s.round, Step: stepNames[s.step],
		Bytes: hex.EncodeToString(s.bytes), Signature: hex.EncodeToString(s.signature), Bar: s.bar,
		Restored: s.restored, Stopped: s.stopped, Vouched: s.vouched, GivenUp: s.given,
	}, "", "  ")
	return append(b, '\n'), err
}

// decodeState is the inverse of encode: nothing else is accepted, and the signature must be that of what is said to have been signed.
func decodeState(data []byte) (*state, error) {
	var f stateFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, errStateDamaged
	}
	if f.Version != stateVersion && f.Version != restoredVersion {
		return nil, fmt.Errorf("it is of version %d, this program knows versions up to %d", f.Version, restoredVersion)
	}
	s := &state{chain: f.Chain, height: f.Height, round: f.Round, step: -1, bar: f.Bar, restored: f.Restored, stopped: f.Stopped, vouched: f.Vouched, given: f.GivenUp}
	for i, name := range stepNames {
		if f.Step == name {
			s.step = step(i)
		}
	}
	key, err1 := hex.DecodeString(f.Key)
	signed, err2 := hex.DecodeString(f.Bytes)
	signature, err3 := hex.DecodeString(f.Signature)
	if errors.Join(err1, err2, err3) != nil || s.step < 0 || len(key) != ed25519.PubKeySize {
		return nil, errStateDamaged
	}
	s.key = key
	if len(signed) > 0 {
		s.bytes, s.signature = signed, signature
	}
	if !s.sound() {
		return nil, errStateDamaged
	}
	if again, err := s.encode(); err != nil || !bytes.Equal(again, data) {
		return nil, errStateDamaged
	}
	return s, nil
}

// sound says whether the parts of a state agree.
func (s *state) sound() bool {
	switch {
	case s.chain == "" && (s.step != none || s.bar != "") || len(s.bar) > maxBar:
		return false
	case s.restored < 0 || s.vouched < 0 || s.bar == "" && (s.restored > 0 || s.vouched > 0) || s.stopped && s.restored == 0 || s.given && s.vouched == 0:
		return false
	case s.step == none:
		return s.height == 0 && s.round == 0 && s.bytes == nil
	case s.height < 1 || s.round < 0:
		return false
	case s.bytes == nil:
		return s.step == precommit && s.round == math.MaxInt32
	}
	_, ok := onlyTimeDiffers(s.step, s.bytes, s.bytes)
	return ok && s.describes(s.bytes) && s.key.VerifySignature(s.bytes, s.signature)
}

// describes says whether signed is for the state's chain, height, round and step.
func (s *state) describes(signed []byte) bool {
	if s.step == proposal {
		var p cmtproto.CanonicalProposal
		return protoio.UnmarshalDelimited(signed, &p) == nil && p.Type == cmtproto.ProposalType &&
			p.ChainID == s.chain && p.Height == s.height && p.Round == int64(s.round)
	}
	want := cmtproto.PrevoteType
	if s.step == precommit {
		want = cmtproto.PrecommitType
	}
	var v cmtproto.CanonicalVote
	return protoio.UnmarshalDelimited(signed, &v) == nil && v.Type == want && v.ChainID == s.chain && v.Height == s.height && v.Round == int64(s.round)
}

// compare orders a place in the chain against the state's: negative if it is before.
func (s *state) compare(height int64, round int32, at step) int {
	switch {
	case height != s.height:
		return sign(height > s.height)
	case round != s.round:
		return sign(round > s.round)
	case at != s.step:
		return sign(at > s.step)
	}
	return 0
}

func sign(above bool) int {
	if above {
		return 1
	}
	return -1
}

// onlyTimeDiffers says whether two messages are the same but for their time, and returns that of the first.
func onlyTimeDiffers(at step, first, second []byte) (time.Time, bool) {
	if at == proposal {
		var a, b cmtproto.CanonicalProposal
		if protoio.UnmarshalDelimited(first, &a) != nil || protoio.UnmarshalDelimited(second, &b) != nil {
			return time.Time{}, false
		}
		then := a.Timestamp
		a.Timestamp, b.Timestamp = time.Time{}, time.Time{}
		return then, proto.Equal(&a, &b)
	}
	var a, b cmtproto.CanonicalVote
	if protoio.UnmarshalDelimited(first, &a) != nil || protoio.UnmarshalDelimited(second, &b) != nil {
		return time.Time{}, false
	}
	then := a.Timestamp
	a.Timestamp, b.Timestamp = time.Time{}, time.Time{}
	return then, proto.Equal(&a, &b)
}
