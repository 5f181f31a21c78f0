package api

import (
	"strings"

	"github.com/folkmoot/folkmoot/fault"
)

// Headers that make a request depend on a version (RFC 9110, section 13.1).
const (
	headerIfMatch     = "If-Match"
	headerIfNoneMatch = "If-None-Match"
)

// conditionOf reads the condition of a write from its If-Match header, which names the one version that must be the newest, and its If-None-Match header,
// where * asks that there be no record. What else RFC 9110 allows there can't be promised across peers, and is refused.
func conditionOf(ifMatch, ifNoneMatch string) (version string, absent bool, err error) {
	switch {
	case ifMatch != "" && ifNoneMatch != "":
		return "", false, fault.New(fault.Invalid, "a write depends on a version (%s) or on there being no record (%s: *), not on both",
			headerIfMatch, headerIfNoneMatch)
	case ifNoneMatch == "*":
		return "", true, nil
	case ifNoneMatch != "":
		return "", false, fault.New(fault.Invalid, "%s: %s: with a write only * works, which asks that there be no record", headerIfNoneMatch, ifNoneMatch)
	case ifMatch != "":
		version, err = strongTag(ifMatch)
	}
	return version, false, err
}

// strongTag returns what one strong entity tag holds (RFC 9110, section 8.8.3).
func strongTag(header string) (string, error) {
	tag := strings.TrimSpace(header)
	inner, opened := strings.CutPrefix(tag, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	switch {
	case tag == "*":
		return "", fault.New(fault.Invalid, "%s: * does not work: name the version, which GET answers as ETag", headerIfMatch)
	case strings.HasPrefix(tag, "W/"):
		return "", fault.New(fault.Invalid, "%s: %s is a weak entity tag, which no write may depend on: leave W/ out", headerIfMatch, tag)
	case strings.Contains(tag, ","):
		return "", fault.New(fault.Invalid, "%s: %s: a write depends on one version", headerIfMatch, tag)
	case !opened || !closed || inner == "" || strings.ContainsRune(inner, '"'):
		return "", fault.New(fault.Invalid, `%s: %s is not an entity tag: want the version in quotes, as ETag has it`, headerIfMatch, tag)
	}
	return inner, nil
}
