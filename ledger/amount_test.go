package ledger

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

// bigOf returns an amount as a big.Int.
func bigOf(a Amount) *big.Int {
	return new(big.Int).SetBytes(a.appendTo(nil))
}

// randomAmount returns amounts of all sizes, and those at the edges.
func randomAmount(rng *rand.Rand) Amount {
	switch rng.IntN(6) {
	case 0:
		return NewAmount(rng.Uint64N(20))
	case 1:
		a, _ := MaxAmount().Sub(NewAmount(rng.Uint64N(20)))
		return a
	case 2:
		return Amount{1, rng.Uint64N(3)}
	}
	return Amount{rng.Uint64() >> rng.UintN(65), rng.Uint64() >> rng.UintN(65)}
}

func TestAmountsAgainstBigIntegers(t *testing.T) {
	rng := testRand(t)
	limit := new(big.Int).Lsh(big.NewInt(1), 128)
	for range 20_000 {
		a, b := randomAmount(rng), randomAmount(rng)
		x, y := bigOf(a), bigOf(b)
		if got, want := a.Cmp(b), x.Cmp(y); got != want {
			t.Fatalf("%v compared with %v: %d, want %d", a, b, got, want)
		}
		sum := new(big.Int).Add(x, y)
		if got, ok := a.Add(b); ok != (sum.Cmp(limit) < 0) || ok && bigOf(got).Cmp(sum) != 0 {
			t.Fatalf("%v + %v is %v, %v", a, b, got, ok)
		}
		difference := new(big.Int).Sub(x, y)
		if got, ok := a.Sub(b); ok != (difference.Sign() >= 0) || ok && bigOf(got).Cmp(difference) != 0 {
			t.Fatalf("%v - %v is %v, %v", a, b, got, ok)
		}
		if got := a.String(); got != x.String() {
			t.Fatalf("%s, want %s", got, x)
		}
		if got := amountFrom(a.appendTo(nil)); got != a {
			t.Fatalf("%v became %v", a, got)
		}
		scale := uint8(rng.IntN(MaxScale + 1))
		text := a.Format(scale)
		if got, err := ParseAmount(text, scale); err != nil || got != a {
			t.Fatalf("%v with scale %d is %s, and that is %v, %v", a, scale, text, got, err)
		}
		unscaled := strings.TrimLeft(strings.Replace(text, ".", "", 1), "0")
		if unscaled != strings.TrimLeft(x.String(), "0") {
			t.Fatalf("%v with scale %d is %s", a, scale, text)
		}
	}
}

func TestParseAmount(t *testing.T) {
	const most = "340282366920938463463374607431768211455"
	tests := []struct {
		text  string
		scale uint8
		want  string // in smallest units; empty: refused with the reason
		why   string
	}{
		{"0", 0, "0", ""},
		{"12.50", 2, "1250", ""},
		{"12.5", 2, "1250", ""},
		{"12", 2, "1200", ""},
		{"007", 0, "7", ""},
		{"0.000000000000000001", 18, "1", ""},
		{most, 0, most, ""},
		{most[:37] + "." + most[37:], 2, most, ""},
		{"340282366920938463463374607431768211456", 0, "", "more than there can be"},
		{most, 1, "", "more than there can be"},
		{strings.Repeat("9", 500), 0, "", "more than there can be"},
		{"12.501", 2, "", "3 places"},
		{"1.0", 0, "", "1 places"},
		{"", 2, "", "not an amount"},
		{".5", 2, "", "not an amount"},
		{"5.", 2, "", "not an amount"},
		{"1.2.3", 9, "", "not an amount"},
		{"-1", 2, "", "not an amount"},
		{"+1", 2, "", "not an amount"},
		{"1e3", 2, "", "not an amount"},
		{"1,000", 2, "", "not an amount"},
		{" 1", 2, "", "not an amount"},
		{"١", 2, "", "not an amount"},
		{"1", 19, "", "scale of 19"},
	}
	for _, tt := range tests {
		got, err := ParseAmount(tt.text, tt.scale)
		if tt.want == "" {
			if err == nil || !strings.Contains(err.Error(), tt.why) || fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q with scale %d: %v, %v; want %q", tt.text, tt.scale, got, err, tt.why)
			}
			continue
		}
		if err != nil || got.String() != tt.want {
			t.Errorf("%q with scale %d: %v, %v; want %s", tt.text, tt.scale, got, err, tt.want)
		}
	}
}

func FuzzParseAmount(f *testing.F) {
	f.Add("12.50", uint8(2))
	f.Add("340282366920938463463374607431768211456", uint8(0))
	f.Fuzz(func(t *testing.T, text string, scale uint8) {
		a, err := ParseAmount(text, scale)
		if err != nil {
			return
		}
		if got, err := ParseAmount(a.Format(scale), scale); err != nil || got != a {
			t.Errorf("%q is %v, which is %q, which is %v, %v", text, a, a.Format(scale), got, err)
		}
	})
}
