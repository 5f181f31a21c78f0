package node

import (
	"path/filepath"
	"time"

	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
)

// ResumeOptions say what the owner of a validator's key vouches for.
type ResumeOptions struct {
	// GivenUp is that what the key signed and its state here does not know of is lost, so that nobody else has it.
	GivenUp bool
}

// ResumeValidator lets the validator of home, which does not run, vote again with a key that was restored from a backup or seen elsewhere: its owner vouches now that nothing else signs with it any more, and never will.
// The node votes once it is certain that the key signs nothing twice; see signer.Vouch. It is fault.NotFound when there is no key, fault.Invalid when the key is not barred, and fault.Conflict when the node runs.
func ResumeValidator(home string, opts ResumeOptions) error {
	if _, err := ReadHome(home); err != nil {
		return err
	}
	lock, err := lockHome(home)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	s, err := signer.Read(filepath.Join(home, validatorDir))
	if err != nil {
		return err
	}
	return s.Vouch(time.Now(), opts.GivenUp)
}
