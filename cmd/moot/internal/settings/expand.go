package settings

import (
	"strconv"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
)

// hasVariables tells whether text means something else than it says: it holds ${NAME} or $$.
func hasVariables(text string) bool { return strings.Contains(text, "$") }

// expand replaces each ${NAME} in text by what variable returns for it, and each $$ by $. Errors are those of variable, and fault.Invalid for any other $.
func expand(text string, variable func(name string) (string, error)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if after, ok := strings.CutPrefix(rest, "$"); ok {
			b.WriteByte('$')
			text = after
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		name, opened := strings.CutPrefix(name, "{")
		if !opened || !closed || !isVariableName(name) {
			return "", fault.New(fault.Invalid, "%s: want ${NAME} for a variable of the environment, or $$ for a dollar sign", strconv.Quote("$"+rest))
		}
		value, err := variable(name)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = after
	}
}

// isVariableName tells whether shells accept name as that of a variable (POSIX.1-2017, section 3.235).
func isVariableName(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// checkVariables tells whether the variables in text are written as they should be, whatever their values.
func checkVariables(text string) error {
	_, err := expand(text, func(string) (string, error) { return "", nil })
	return err
}

// fromEnv returns a function for expand that takes variables from the environment. As everywhere, an empty variable counts as unset.
func fromEnv(lookupEnv func(string) (string, bool)) func(name string) (string, error) {
	return func(name string) (string, error) {
		value, _ := lookupEnv(name)
		if value == "" {
			return "", fault.New(fault.Invalid, "variable %s is not set", name)
		}
		return value, nil
	}
}
