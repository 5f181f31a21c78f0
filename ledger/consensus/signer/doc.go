// Package signer holds a validator's key and signs votes and proposals for CometBFT, never two that contradict one another.
//
// What was last signed is on disk before a signature leaves, so that neither a crash nor a loss of power makes the validator sign again. A state that is
// missing, damaged or of another key or chain is an error, never a fresh start. And when the key is seen in a commit above what the
// state knows of, somebody else signs with it, or the state was restored from a backup: the signer is barred then, and stays so until its owner vouches for it (resume.go).
//
// CometBFT's own FilePV is not used: it does not sync the folder after it renames the file, so that the state before may come back after a loss of power, it
// ends the process when a file cannot be read, and it takes whatever JSON there is.
package signer
