package moottest

import "os"

// GapsAllowed reports whether tests may be left out where the machine can't run them: not where CI is true or MOOT_ALLOW_GAPS is 0.
func GapsAllowed() bool {
	switch os.Getenv("MOOT_ALLOW_GAPS") {
	case "0":
		return false
	case "1":
		return true
	}
	return os.Getenv("CI") != "true"
}
