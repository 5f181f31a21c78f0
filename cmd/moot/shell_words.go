package main

import (
	"strings"

	"github.com/folkmoot/folkmoot/fault"
)

// splitLine splits a line of the shell into words. Double quotes hold a word together, with \" and \\ in them; so do single
// quotes, with everything between them as it is. A line whose first character is # has no words.
func splitLine(line string) ([]string, error) {
	words, _, open := lexLine(line)
	if open != 0 {
		return nil, advise(fault.New(fault.Invalid, "the quote %c is not closed", open), "write a quote within quotes as '\"' or \"'\"")
	}
	return words, nil
}

// lexLine also tells whether the last word still goes on at the line's end, and the quote that is open there, or 0.
func lexLine(line string) (words []string, within bool, open rune) {
	if strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
		return nil, false, 0
	}
	var word strings.Builder
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			if r != '"' && r != '\\' {
				word.WriteRune('\\')
			}
			word.WriteRune(r)
			escaped = false
		case open == '"' && r == '\\':
			escaped = true
		case open != 0 && r == open:
			open = 0
		case open == 0 && (r == '"' || r == '\''):
			open, within = r, true
		case open == 0 && (r == ' ' || r == '\t' || r == '\r'):
			if within {
				words = append(words, word.String())
			}
			word.Reset()
			within = false
		default:
			word.WriteRune(r)
			within = true
		}
	}
	if within {
		words = append(words, word.String())
	}
	return words, within, open
}

// quoteWord writes a word so that splitLine reads it back.
func quoteWord(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\r\"'#") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// completeLine returns line, whose end is where the cursor is, with its last word completed as far as the candidates agree, and the candidates
// that are left when they don't.
func completeLine(line string, complete func(before []string, begun string) []string) (completed string, choices []string) {
	words, within, _ := lexLine(line)
	begun := ""
	if within {
		begun, words = words[len(words)-1], words[:len(words)-1]
	}
	choices = complete(words, begun)
	if len(choices) == 0 {
		return line, nil
	}
	common := choices[0]
	for _, c := range choices[1:] {
		common = commonPrefix(common, c)
	}
	for i, w := range words {
		words[i] = quoteWord(w)
	}
	switch {
	case len(choices) == 1:
		return strings.Join(append(words, quoteWord(common)), " ") + " ", nil
	case len(common) > len(begun):
		quoted := quoteWord(common)
		if strings.HasPrefix(quoted, `"`) {
			quoted = strings.TrimSuffix(quoted, `"`)
		}
		return strings.Join(append(words, quoted), " "), choices
	}
	return line, choices
}

func commonPrefix(a, b string) string {
	n := 0
	for i, r := range a {
		if !strings.HasPrefix(b[min(i, len(b)):], string(r)) {
			break
		}
		n = i + len(string(r))
	}
	return a[:n]
}
