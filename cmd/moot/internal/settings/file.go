package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/folkmoot/folkmoot/fault"
)

// maxFile bounds a config file in bytes.
const maxFile = 64 << 10

// File is a config file: YAML, one mapping from options' names to values. In values ${NAME} stands for a variable of the environment, and $$ for a dollar sign. Variables
// are looked up only when their option is needed: a command does not mind those in options that it does not have.
type File struct {
	path    string
	options Options
	entries map[string]entry
}

type entry struct {
	line  int
	text  string
	items []string // of a list
}

// ReadFile reads a config file and checks every key and type in it, those of options of other commands too. A file that does not exist is
// empty. Errors in the file's content are fault.Invalid and name file, line and key.
func ReadFile(path string, options Options) (*File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the config file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the config file: %w", err)
	}
	if len(data) > maxFile {
		return nil, fault.New(fault.Invalid, "%s: longer than %d bytes", path, maxFile)
	}
	return Parse(path, data, options)
}

// Parse is ReadFile for content that was read already; path is only named in errors.
func Parse(path string, data []byte, options Options) (*File, error) {
	file := &File{path: path, options: options, entries: make(map[string]entry)}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return file, nil
	} else if err != nil {
		return nil, fault.New(fault.Invalid, "%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "%s: want one YAML document, found more", path)
	}
	top := doc.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return file, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, fault.New(fault.Invalid, "%s:%d: want lines of OPTION: VALUE", path, top.Line)
	}
	for i := 0; i+1 < len(top.Content); i += 2 {
		if err := file.add(top.Content[i], top.Content[i+1]); err != nil {
			return nil, err
		}
	}
	return file, nil
}

func (file *File) add(key, value *yaml.Node) error {
	fail := func(line int, format string, args ...any) error {
		return fault.New(fault.Invalid, "%s:%d: %s: %w", file.path, line, strconv.Quote(key.Value), fmt.Errorf(format, args...))
	}
	typ, known := file.options[key.Value]
	switch _, twice := file.entries[key.Value]; {
	case key.Kind != yaml.ScalarNode:
		return fault.New(fault.Invalid, "%s:%d: want the name of an option", file.path, key.Line)
	case key.Value == "home":
		return fail(key.Line, "the home is where this file was found; set it with --home or MOOT_HOME")
	case !known:
		if near := Nearest(key.Value, file.options.Names()); near != "" {
			return fail(key.Line, "unknown option; did you mean %q?", near)
		}
		return fail(key.Line, "unknown option")
	case twice:
		return fail(key.Line, "given twice")
	}
	e := entry{line: key.Line, text: value.Value}
	if typ == typeList {
		if value.Kind != yaml.SequenceNode {
			return fail(value.Line, "want a list, got %s", describe(value))
		}
		for _, item := range value.Content {
			if !isText(item) {
				return fail(item.Line, "want a list of texts, got %s in it", describe(item))
			}
			if err := checkVariables(item.Value); err != nil {
				return fail(item.Line, "%w", err)
			}
			e.items = append(e.items, item.Value)
		}
	} else if isText(value) && hasVariables(value.Value) {
		if err := checkVariables(value.Value); err != nil {
			return fail(value.Line, "%w", err)
		}
	} else if want := mismatch(typ, value); want != "" {
		return fail(value.Line, "want %s, got %s", want, describe(value))
	}
	file.entries[key.Value] = e
	return nil
}

// mismatch returns what an option of type typ wants when value is not that, and "" when it is.
func mismatch(typ string, value *yaml.Node) string {
	scalar := func(tag string) bool { return value.Kind == yaml.ScalarNode && value.ShortTag() == tag }
	switch typ {
	case typeBool:
		// Only YAML 1.2's two words: the yes and no of YAML 1.1 are texts elsewhere.
		if !scalar("!!bool") || (value.Value != "true" && value.Value != "false") {
			return "true or false"
		}
	case typeInt:
		if _, err := strconv.Atoi(value.Value); err != nil || !scalar("!!int") {
			return "a whole number"
		}
	case typeDuration:
		if !isText(value) || !checkDuration(value.Value) {
			return "a duration such as 90s or 24h"
		}
	default:
		if !isText(value) {
			return "text (in quotes, if it looks like something else)"
		}
	}
	return ""
}

func isText(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" }

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.ShortTag() == "!!null" {
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

// set sets an option that the file has a key for. A nil File has none.
func (file *File) set(flags *pflag.FlagSet, f *pflag.Flag, lookupEnv func(string) (string, bool)) error {
	if file == nil {
		return nil
	}
	e, ok := file.entries[f.Name]
	if !ok {
		return nil
	}
	if err := e.set(flags, f, fromEnv(lookupEnv)); err != nil {
		return fault.New(fault.Invalid, "%s:%d: %q: %w", file.path, e.line, f.Name, err)
	}
	return nil
}

func (e *entry) set(flags *pflag.FlagSet, f *pflag.Flag, variable func(string) (string, error)) error {
	list, isList := f.Value.(pflag.SliceValue)
	if !isList {
		text, err := expand(e.text, variable)
		if err != nil {
			return err
		}
		return setText(flags, f, text)
	}
	items := make([]string, len(e.items))
	for i, item := range e.items {
		var err error
		if items[i], err = expand(item, variable); err != nil {
			return err
		}
	}
	return setList(f, list, items)
}
