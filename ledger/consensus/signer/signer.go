package signer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cometbft/cometbft/crypto"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/protoio"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/internal/privatefile"
)

// KeyFile and StateFile are the names of the files in a signer's folder.
const (
	KeyFile   = "validator.key"
	StateFile = "validator.state"
)

// fileMode is that of both files.
const fileMode = 0o600

// A Signer signs for one validator in one chain. Its methods may be called from many goroutines.
type Signer struct {
	path string // of the state
	key  cmted25519.PrivKey

	mu     sync.Mutex
	state  state // guarded by mu
	broken error // why the state could not be written, guarded by mu
	quiet  int   // how many blocks in a row were decided without the key since its owner vouched for it, guarded by mu
}

var _ types.PrivValidator = (*Signer)(nil)

// Create makes a new key and its state in a folder that has neither. An error is fault.Conflict when it has.
func Create(dir, chain string) (*Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a validator's key: %w", err)
	}
	if err := validateChain(chain); err != nil {
		return nil, err
	}
	return write(dir, key, &state{key: publicOf(key), chain: chain})
}

// Generate makes a new key for a chain that is not known yet, as its genesis is made of the keys of its validators, in a folder that has neither key nor state. Bind says later which chain it is. An error is
// fault.Conflict when there is a key.
func Generate(dir string) (*Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a validator's key: %w", err)
	}
	return write(dir, key, &state{key: publicOf(key)})
}

// Bind says which chain the key that Generate made is for. It can be said once: an error is fault.Conflict when another was said before. The kinds of other errors are those of Open.
func Bind(dir, chain string) (*Signer, error) {
	if err := validateChain(chain); err != nil {
		return nil, err
	}
	s, err := Read(dir)
	if err != nil {
		return nil, err
	}
	switch s.state.chain {
	case chain:
		return s, nil
	case "":
	default:
		return nil, fault.New(fault.Conflict, "the validator's key in %s is for chain %q, not %q", dir, s.state.chain, chain)
	}
	next := s.state
	next.chain = chain
	if s.save(next); s.broken != nil {
		return nil, fmt.Errorf("write %s: %w", s.path, s.broken)
	}
	return s, nil
}

func validateChain(chain string) error {
	if chain == "" || len(chain) > types.MaxChainIDLen {
		return fault.New(fault.Invalid, "a signer for a chain whose id has %d bytes: want 1 to %d", len(chain), types.MaxChainIDLen)
	}
	return nil
}

// write makes the files of a signer.
func write(dir string, key ed25519.PrivateKey, first *state) (*Signer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create a signer: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, KeyFile)); err == nil {
		return nil, fault.New(fault.Conflict, "create a signer: %s has a validator's key already", dir)
	}
	s := &Signer{path: filepath.Join(dir, StateFile), key: cmted25519.PrivKey(key), state: *first}
	// The state comes first: a key without one is refused, a state without a key does no harm.
	data, err := s.state.encode()
	if err != nil {
		return nil, fmt.Errorf("encode a signer's state: %w", err)
	}
	if err := atomicfile.Create(s.path, data, fileMode); err != nil {
		return nil, createError(s.path, err)
	}
	if data, err = encodeKey(key); err != nil {
		return nil, fmt.Errorf("encode a validator's key: %w", err)
	}
	if err := atomicfile.Create(filepath.Join(dir, KeyFile), data, fileMode); err != nil {
		return nil, createError(filepath.Join(dir, KeyFile), err)
	}
	return s, nil
}

func createError(path string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "create %s: %w", path, fs.ErrExist)
	}
	return fmt.Errorf("create %s: %w", path, err)
}

// Open reads what Create or Restore made. An error is fault.NotFound when there is no key, and fault.Invalid when a file is damaged, readable by others, or the
// state is missing or of another key or chain.
func Open(dir, chain string) (*Signer, error) {
	s, err := Read(dir)
	if err != nil {
		return nil, err
	}
	if s.state.chain != chain {
		return nil, fault.New(fault.Invalid, "open %s: it is the state for chain %q, not %q", s.path, s.state.chain, chain)
	}
	return s, nil
}

// Read reads what Generate, Create or Restore made, whatever its chain. The kinds of errors are those of Open.
func Read(dir string) (*Signer, error) {
	keyPath, statePath := filepath.Join(dir, KeyFile), filepath.Join(dir, StateFile)
	data, err := privatefile.Read(keyPath, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "open the validator's key %s: %w", keyPath, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "open the validator's key %s: %w", keyPath, err)
	}
	key, err := decodeKey(data)
	if err != nil {
		return nil, fault.New(fault.Invalid, "open the validator's key %s: %w", keyPath, err)
	}
	if data, err = privatefile.Read(statePath, maxFile); err != nil {
		return nil, fault.New(fault.Invalid, "open %s, without which the key might sign twice: %w", statePath, err)
	}
	st, err := decodeState(data)
	if err != nil {
		return nil, fault.New(fault.Invalid, "open %s: %w", statePath, err)
	}
	if !bytes.Equal(st.key, publicOf(key)) {
		return nil, fault.New(fault.Invalid, "open %s: it is the state of another key", statePath)
	}
	return &Signer{path: statePath, key: cmted25519.PrivKey(key), state: *st}, nil
}

// PublicKey returns the bytes of the public key.
func (s *Signer) PublicKey() [ed25519.PublicKeySize]byte {
	return [ed25519.PublicKeySize]byte(publicOf(ed25519.PrivateKey(s.key)))
}

// GetPubKey returns the public key as CometBFT has it.
func (s *Signer) GetPubKey() (crypto.PubKey, error) { return s.key.PubKey(), nil }

// SignProposal signs a proposal, or repeats the signature when it is the one that was signed last, whatever its time.
func (s *Signer) SignProposal(chain string, p *cmtproto.Proposal) error {
	then, signature, err := s.sign(chain, p.Height, p.Round, proposal, types.ProposalSignBytes(chain, p))
	if err != nil {
		return fmt.Errorf("sign a proposal at height %d, round %d: %w", p.Height, p.Round, err)
	}
	if then != nil {
		p.Timestamp = *then
	}
	p.Signature = signature
	return nil
}

// SignVote signs a vote, or repeats the signature when it is the one that was signed last, whatever its time. A precommit for a block
// also gets a signature for its extension.
func (s *Signer) SignVote(chain string, v *cmtproto.Vote) error {
	at := prevote
	switch v.Type {
	case cmtproto.PrevoteType:
	case cmtproto.PrecommitType:
		at = precommit
	default:
		return fault.New(fault.Invalid, "sign a vote: unknown type %d", v.Type)
	}
	forBlock := at == precommit && !types.ProtoBlockIDIsNil(&v.BlockID)
	if !forBlock && len(v.Extension) > 0 {
		return fault.New(fault.Invalid, "sign a vote: only a precommit for a block has an extension")
	}
	then, signature, err := s.sign(chain, v.Height, v.Round, at, types.VoteSignBytes(chain, v))
	if err != nil {
		return fmt.Errorf("sign a %s at height %d, round %d: %w", stepNames[at], v.Height, v.Round, err)
	}
	if then != nil {
		v.Timestamp = *then
	}
	v.Signature, v.ExtensionSignature = signature, nil
	if forBlock {
		// An extension need not be the same each time, so it is signed anew.
		if v.ExtensionSignature, err = s.key.Sign(types.VoteExtensionSignBytes(chain, v)); err != nil {
			return fmt.Errorf("sign a vote's extension: %w", err)
		}
	}
	return nil
}

// Voted makes a vote the one that was signed at its height, round and step, whatever that was for, with its time and signature. It reports whether that is the last that was signed, and known.
func (s *Signer) Voted(v *cmtproto.Vote) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := prevote
	if v.Type == cmtproto.PrecommitType {
		at = precommit
	}
	if s.state.compare(v.Height, v.Round, at) != 0 || s.state.bytes == nil || s.barred() != nil {
		return false
	}
	var signed cmtproto.CanonicalVote
	if err := protoio.UnmarshalDelimited(s.state.bytes, &signed); err != nil {
		return false
	}
	v.BlockID, v.Timestamp, v.Signature = cmtproto.BlockID{}, signed.Timestamp, bytes.Clone(s.state.signature)
	if id := signed.BlockID; id != nil {
		v.BlockID = cmtproto.BlockID{Hash: id.Hash, PartSetHeader: cmtproto.PartSetHeader{Total: id.PartSetHeader.Total, Hash: id.PartSetHeader.Hash}}
	}
	return true
}

// Witness tells the signer that a commit holds its precommit of the given height and round, with its signature where that is known, or nil. If it never gave that, it is barred. For a key that is barred already it is proof that
// a backup was not the last word, whatever the backup says.
func (s *Signer) Witness(height int64, round int32, signature []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.state.compare(height, round, precommit)
	other := at == 0 && signature != nil && s.state.bytes != nil && !bytes.Equal(signature, s.state.signature)
	if at <= 0 && !other {
		return
	}
	next := s.state
	if s.state.bar != "" {
		if s.state.stopped {
			next.stopped = false
			s.save(next)
		}
		return
	}
	next.bar = fmt.Sprintf("the key was seen to sign at height %d, round %d, above height %d, round %d, which is the last that this state knows of", height, round,
		s.state.height, s.state.round)
	if other {
		next.bar = fmt.Sprintf("the key was seen to sign something else than this state knows of at height %d, round %d", height, round)
	}
	s.save(next)
}

// Barred returns why the signer signs nothing any more, or nil. Its kind is fault.Forbidden when the owner may vouch for it.
func (s *Signer) Barred() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.barred()
}

func (s *Signer) barred() error {
	if err := s.writable(); err != nil {
		return err
	}
	switch {
	case s.state.bar == "":
		return nil
	case s.state.given:
		return fault.New(fault.Forbidden, "the validator waits until it has what others have, as its owner vouched on %s that what its key signed since is lost; before, it was barred: %s",
			time.UnixMilli(s.state.vouched).UTC().Format(time.RFC3339), s.state.bar)
	case s.state.vouched > 0:
		return fault.New(fault.Forbidden, "the validator waits for blocks without it, as its owner vouched on %s that nothing else signs with its key; before, it was barred: %s",
			time.UnixMilli(s.state.vouched).UTC().Format(time.RFC3339), s.state.bar)
	}
	return fault.New(fault.Forbidden, "the validator is barred: %s", s.state.bar)
}

// writable returns why nothing can be written down any more, or nil.
func (s *Signer) writable() error {
	if s.broken != nil {
		return fmt.Errorf("what was signed can't be written down: %w", s.broken)
	}
	return nil
}
