//go:build !nextrules

package ledger

// RulesVersion is the newest version of the rules that this program knows.
const RulesVersion = 1
