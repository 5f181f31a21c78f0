package ledger

import "fmt"

// UnknownRulesError says that blocks from a height on follow rules that this program doesn't know: another one is needed.
type UnknownRulesError struct {
	Version uint32
	Height  int64
}

// Error says what to do.
func (e *UnknownRulesError) Error() string {
	return fmt.Sprintf(`from block %d on the ledger follows version %d of its rules, and this program knows versions up to %d: install a program that knows version %d ("moot version" tells what one knows)`,
		e.Height, e.Version, RulesVersion, e.Version)
}

// CurrentRules returns which version of the rules blocks follow after a state.
func CurrentRules(view View) (r Rules, err error) {
	err = load(view, RulesKey(), &r)
	return r, err
}

// Known returns an *UnknownRulesError when the block of a height follows rules that this program doesn't know, and otherwise nil.
func (r *Rules) Known(height int64) error {
	version := r.At(height)
	if version <= RulesVersion {
		return nil
	}
	if r.Height > 0 && r.Height <= height {
		height = r.Height
	}
	return &UnknownRulesError{version, height}
}
