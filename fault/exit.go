package fault

// Codes with which a command ends.
const (
	ExitDone       = 0
	ExitFailed     = 1
	ExitUsage      = 2
	ExitNotFound   = 3
	ExitIncomplete = 4 // no quorum, incomplete, or timed out
	ExitConflict   = 5
)

// ExitCode returns the code with which a command ends for err, nil included: the one table from kinds of errors to exit codes.
func ExitCode(err error) int {
	if err == nil {
		return ExitDone
	}
	switch KindOf(err) {
	case Invalid, TooLarge:
		return ExitUsage
	case NotFound:
		return ExitNotFound
	case Unavailable:
		return ExitIncomplete
	case Conflict:
		return ExitConflict
	default:
		return ExitFailed
	}
}
