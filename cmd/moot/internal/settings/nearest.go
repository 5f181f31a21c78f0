package settings

import "strings"

// Nearest returns the candidate that word was most likely meant to be, or "" when none is near: the one that it
// begins, or the one fewest edits away, at most a third of its letters and at least one.
func Nearest(word string, candidates []string) string {
	best, fewest := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if len(word) >= 2 && strings.HasPrefix(c, word) {
			return c
		}
		if d := editDistance(word, c); d < fewest {
			best, fewest = c, d
		}
	}
	return best
}

// maxEdited bounds the words that editDistance compares, in bytes.
const maxEdited = 64

// editDistance returns how many insertions, deletions, replacements and swaps of neighbouring bytes turn a into b
// (the optimal string alignment distance).
func editDistance(a, b string) int {
	if len(a) > maxEdited || len(b) > maxEdited {
		return maxEdited
	}
	var before, previous, current [maxEdited + 1]int
	for j := range len(b) + 1 {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous = previous, current
	}
	return previous[len(b)]
}
