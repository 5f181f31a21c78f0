package signer

import (
	"bytes"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/internal/guardfs"
	"github.com/folkmoot/folkmoot/internal/privatefile"
)

// sign returns the signature of message, once it is on disk that it was given. If the same was signed before but for its time, the signature is that
// one, and then its time.
func (s *Signer) sign(chain string, height int64, round int32, at step, message []byte) (then *time.Time, signature []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.barred(); err != nil {
		return nil, nil, err
	}
	switch {
	case s.state.chain == "":
		return nil, nil, fault.New(fault.Invalid, "the signer is for no chain yet")
	case chain != s.state.chain:
		return nil, nil, fault.New(fault.Invalid, "the signer is for chain %q, not %q", s.state.chain, chain)
	case height < 1 || round < 0:
		return nil, nil, fault.New(fault.Invalid, "there is no such place in a chain")
	}
	switch s.state.compare(height, round, at) {
	case -1:
		return nil, nil, fault.New(fault.Conflict, "a %s at height %d, round %d was signed already", stepNames[s.state.step], s.state.height, s.state.round)
	case 0:
		return s.again(at, message)
	}
	if signature, err = s.key.Sign(message); err != nil {
		return nil, nil, err
	}
	next := s.state
	next.height, next.round, next.step = height, round, at
	next.bytes, next.signature = bytes.Clone(message), bytes.Clone(signature)
	err = s.put(next)
	switch {
	case err == nil:
		return nil, signature, nil
	case guardfs.IsFull(err) && s.unchanged(): // it may be tried again
		return nil, nil, fault.New(fault.Full, "note what is signed: %w", err)
	}
	s.broken = err
	return nil, nil, s.barred()
}

// again answers for the place of the last signature: as it was given, or not at all.
func (s *Signer) again(at step, message []byte) (*time.Time, []byte, error) {
	if s.state.bytes != nil {
		if bytes.Equal(message, s.state.bytes) {
			return nil, bytes.Clone(s.state.signature), nil
		}
		if then, ok := onlyTimeDiffers(at, s.state.bytes, message); ok {
			return &then, bytes.Clone(s.state.signature), nil
		}
	}
	return nil, nil, fault.New(fault.Conflict, "another one was signed there")
}

// save replaces the state in memory and on disk. If the disk fails, nobody knows which of them a restart will find: nothing is signed any more.
func (s *Signer) save(next state) {
	if err := s.put(next); err != nil && s.broken == nil {
		s.broken = err
	}
}

// put replaces the state in memory and on disk, or returns why it could not.
func (s *Signer) put(next state) error {
	data, err := next.encode()
	if err == nil {
		err = atomicfile.Write(s.path, data, fileMode)
	}
	if err == nil {
		s.state = next
	}
	return err
}

// unchanged reports whether the file still has the state that is in memory: it was not replaced, which is the last thing that writing does.
func (s *Signer) unchanged() bool {
	want, err := s.state.encode()
	if err != nil {
		return false
	}
	got, err := privatefile.Read(s.path, maxFile)
	return err == nil && bytes.Equal(got, want)
}
