// Package settings fills in the options that were not given on the command line, first from MOOT_… variables of the
// environment and then from a config file whose keys are the options' names.
package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/folkmoot/folkmoot/fault"
)

// EnvPrefix begins the name of every variable that stands for an option.
const EnvPrefix = "MOOT_"

// EnvName returns the variable that stands for an option: MOOT_API_LISTEN for api-listen.
func EnvName(option string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// Types that an option can have, as pflag.Value's Type names them. Anything else is text.
const (
	typeBool     = "bool"
	typeInt      = "int"
	typeDuration = "duration"
	typeList     = "stringSlice"
)

// Apply gives every option in flags that was not set on the command line the value of its variable, or else of
// its key in file, which may be nil. An empty variable counts as unset. Errors are fault.Invalid and name the variable, or the file, line and key.
func Apply(flags *pflag.FlagSet, lookupEnv func(string) (string, bool), file *File) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" {
			return
		}
		if text, ok := lookupEnv(EnvName(f.Name)); ok && text != "" {
			if err := setText(flags, f, text); err != nil {
				errs = append(errs, fault.New(fault.Invalid, "variable %s: %w", EnvName(f.Name), err))
			}
			return
		}
		if err := file.set(flags, f, lookupEnv); err != nil {
			errs = append(errs, err)
		}
	})
	if len(errs) > 0 {
		return errs[0]
	}
	return nil
}

// setText sets an option from one text; a list is separated by commas.
func setText(flags *pflag.FlagSet, f *pflag.Flag, text string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		items := strings.Split(text, ",")
		for i := range items {
			items[i] = strings.TrimSpace(items[i])
		}
		return setList(f, list, items)
	}
	if err := flags.Set(f.Name, text); err != nil {
		return Want(f, text, err)
	}
	return nil
}

func setList(f *pflag.Flag, list pflag.SliceValue, items []string) error {
	if err := list.Replace(items); err != nil {
		return err
	}
	f.Changed = true
	return nil
}

// Want says what kind of value the option wants instead of text, which cause refused.
func Want(f *pflag.Flag, text string, cause error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](cause); ok && e.Unwrap() != nil {
		cause = e.Unwrap()
	}
	switch f.Value.Type() {
	case typeBool:
		return fmt.Errorf("want true or false, got %q", text)
	case typeInt:
		if errors.Is(cause, strconv.ErrRange) {
			return fmt.Errorf("%q is out of range", text)
		}
		return fmt.Errorf("want a whole number, got %q", text)
	case typeDuration:
		return fmt.Errorf("want a duration such as 90s or 24h, got %q", text)
	}
	return cause
}

// Options maps the names of options to their types: everything that a config file may hold.
type Options map[string]string

// Add adds the options in flags, and fails when one of them was there with another type: a key of the config file
// means the same to every command.
func (o Options) Add(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		typ, known := o[f.Name]
		if known && typ != f.Value.Type() {
			errs = append(errs, fmt.Errorf("option --%s is a %s here and a %s there", f.Name, typ, f.Value.Type()))
		}
		o[f.Name] = f.Value.Type()
	})
	return errors.Join(errs...)
}

// Names returns the options' names, sorted.
func (o Options) Names() []string { return slices.Sorted(maps.Keys(o)) }

// checkDuration tells whether text is a duration.
func checkDuration(text string) bool {
	_, err := time.ParseDuration(text)
	return err == nil
}
