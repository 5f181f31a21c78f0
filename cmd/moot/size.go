package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is the value of an option that is a number of bytes, such as 500MB or 10GiB.
type size int64

// sizeUnits are the units of sizes by their lower-case names: powers of 1,000 and of 1,024.
func sizeUnits() map[string]float64 {
	units := map[string]float64{"": 1, "b": 1}
	decimal, binary := 1.0, 1.0
	for _, prefix := range "kmgtp" {
		decimal, binary = decimal*1000, binary*1024
		units[string(prefix)+"b"], units[string(prefix)+"ib"] = decimal, binary
		units[string(prefix)], units[string(prefix)+"i"] = decimal, binary
	}
	return units
}

// String writes the size in bytes.
func (s *size) String() string { return strconv.FormatInt(int64(*s), 10) }

// Type names the type in help texts.
func (s *size) Type() string { return "size" }

// Set reads a size; 0 is one.
func (s *size) Set(text string) error {
	refused := fmt.Errorf("want a size such as 500MB or 10GiB, got %q", text)
	end := strings.LastIndexAny(text, "0123456789.") + 1
	number := text[:end]
	unit, known := sizeUnits()[strings.ToLower(strings.TrimSpace(text[end:]))]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || strings.Trim(number, "0123456789.") != "" {
		return refused
	}
	if n *= unit; n >= math.MaxInt64 {
		return fmt.Errorf("%q is out of range", text)
	}
	if n > 0 && n < 1 {
		return refused
	}
	*s = size(n)
	return nil
}
