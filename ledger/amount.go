package ledger

import (
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
)

// Amount is a number of an asset's smallest units, from 0 to 2^128-1. The zero value is 0, and amounts can be compared with ==.
type Amount struct{ hi, lo uint64 }

const (
	// amountSize is the number of bytes of an amount on the wire, big-endian.
	amountSize = 16
	// MaxScale is the most decimal places of an asset.
	MaxScale = 18
	// maxAmountDigits is the number of decimal digits of the greatest amount.
	maxAmountDigits = 39
)

// NewAmount returns n smallest units.
func NewAmount(n uint64) Amount { return Amount{lo: n} }

// MaxAmount returns the greatest amount, 2^128-1.
func MaxAmount() Amount { return Amount{^uint64(0), ^uint64(0)} }

// IsZero reports whether a is 0.
func (a Amount) IsZero() bool { return a == Amount{} }

// Cmp returns -1, 0 or 1 as a is less than, equal to or greater than b.
func (a Amount) Cmp(b Amount) int {
	switch {
	case a == b:
		return 0
	case a.hi < b.hi || a.hi == b.hi && a.lo < b.lo:
		return -1
	}
	return 1
}

// Add returns a+b; ok is false, and the sum 0, when it would be greater than MaxAmount.
func (a Amount) Add(b Amount) (sum Amount, ok bool) {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, carry := bits.Add64(a.hi, b.hi, carry)
	if carry != 0 {
		return Amount{}, false
	}
	return Amount{hi, lo}, true
}

// Sub returns a-b; ok is false, and the difference 0, when b is greater than a.
func (a Amount) Sub(b Amount) (difference Amount, ok bool) {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, borrow := bits.Sub64(a.hi, b.hi, borrow)
	if borrow != 0 {
		return Amount{}, false
	}
	return Amount{hi, lo}, true
}

// appendTo writes the amount as the wire has it.
func (a Amount) appendTo(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, a.hi), a.lo)
}

// amountFrom reads the first amountSize bytes of b.
func amountFrom(b []byte) Amount {
	return Amount{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// String returns the number of smallest units in decimal.
func (a Amount) String() string { return a.Format(0) }

// Format returns the amount in units of 10^scale smallest ones, in decimal with exactly scale places: 1250 with scale 2 is "12.50". Scales above MaxScale are taken for MaxScale.
func (a Amount) Format(scale uint8) string {
	scale = min(scale, MaxScale)
	var digits [maxAmountDigits + MaxScale]byte
	i := len(digits)
	for !a.IsZero() || len(digits)-i <= int(scale) {
		var r uint64
		a.hi, r = a.hi/10, a.hi%10
		a.lo, r = bits.Div64(r, a.lo, 10)
		i--
		digits[i] = '0' + byte(r)
	}
	whole := string(digits[i : len(digits)-int(scale)])
	if scale == 0 {
		return whole
	}
	return whole + "." + string(digits[len(digits)-int(scale):])
}

// ParseAmount reads an amount as people write it, digits with at most scale places after a point: "12.5" with scale 2 is 1250. It never rounds: more places than scale are an error, and so
// is everything else but digits and one point between them. Errors are of kind fault.Invalid.
func ParseAmount(s string, scale uint8) (Amount, error) {
	whole, places, pointed := strings.Cut(s, ".")
	switch {
	case scale > MaxScale:
		return Amount{}, fault.New(fault.Invalid, "a scale of %d: want 0 to %d", scale, MaxScale)
	case whole == "" || pointed && places == "":
		return Amount{}, fault.New(fault.Invalid, "%q is not an amount: want digits, such as 12 or 12.50", clip(s))
	case len(places) > int(scale):
		return Amount{}, fault.New(fault.Invalid, "%q has %d places after the point: this asset has %d", clip(s), len(places), scale)
	}
	var a Amount
	for _, c := range []byte(whole + places + strings.Repeat("0", int(scale)-len(places))) {
		if c < '0' || c > '9' {
			return Amount{}, fault.New(fault.Invalid, "%q is not an amount: want digits, such as 12 or 12.50", clip(s))
		}
		var ok bool
		if a, ok = a.shift(c - '0'); !ok {
			return Amount{}, fault.New(fault.Invalid, "%q is more than there can be: the greatest amount is %s", clip(s), MaxAmount().Format(scale))
		}
	}
	return a, nil
}

// shift returns 10a+digit.
func (a Amount) shift(digit byte) (Amount, bool) {
	over, hi := bits.Mul64(a.hi, 10)
	carry, lo := bits.Mul64(a.lo, 10)
	hi, overflow := bits.Add64(hi, carry, 0)
	if over != 0 || overflow != 0 {
		return Amount{}, false
	}
	return Amount{hi, lo}.Add(NewAmount(uint64(digit)))
}
