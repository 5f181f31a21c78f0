//go:build nextrules

package ledger

// RulesVersion is one more than that of the program that is released. Nothing differs under the rules of that version: it is for tests of how a network goes from one version to the next.
const RulesVersion = 2
