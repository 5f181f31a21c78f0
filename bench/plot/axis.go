package plot

import (
	"fmt"
	"math"
	"strings"
)

// maxTicks is about how many ticks an axis gets.
const maxTicks = 7

// axis maps values to positions.
type axis struct {
	log        bool
	low, high  float64 // of values; both ends are ticks
	ticks      []float64
	start, end float64 // of positions
}

// newAxis returns an axis on which all values fit. A linear one begins at 0; a logarithmic one leaves out what is not positive.
func newAxis(log bool, values []float64) axis {
	a := axis{log: log}
	if log {
		a.fitLog(values)
	} else {
		a.fitLinear(values)
	}
	a.low, a.high = a.ticks[0], a.ticks[len(a.ticks)-1]
	return a
}

// fitLinear chooses ticks from 0 to above all values, in steps of 1, 2 or 5 times a power of ten.
func (a *axis) fitLinear(values []float64) {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	if most == 0 {
		most = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most/maxTicks)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if most/(step*factor) <= maxTicks {
			step *= factor
			break
		}
	}
	for i := 0; ; i++ {
		a.ticks = append(a.ticks, float64(i)*step)
		if float64(i)*step >= most {
			return
		}
	}
}

// fitLog chooses powers of ten below and above all values, with 2 and 5 times them between while they are few.
func (a *axis) fitLog(values []float64) {
	least, most := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			least, most = min(least, v), max(most, v)
		}
	}
	if most == 0 {
		least, most = 1, 10
	}
	factors := []float64{1}
	if math.Log10(most/least) < 2.5 {
		factors = []float64{1, 2, 5}
	}
	var all []float64
	for e := math.Floor(math.Log10(least)); e <= math.Ceil(math.Log10(most))+1; e++ {
		for _, f := range factors {
			all = append(all, f*math.Pow(10, e))
		}
	}
	from, to := 0, len(all)-1
	for all[from+1] <= least {
		from++
	}
	for to > from+1 && all[to-1] >= most {
		to--
	}
	a.ticks = all[from : to+1]
}

// at returns the position of a value.
func (a *axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log(max(v, a.low)), math.Log(low), math.Log(high)
	}
	return a.start + (v-low)/(high-low)*(a.end-a.start)
}

// label writes a tick's value: 0.5, 20, 1k, 2.5M.
func label(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return trim(v/unit.size) + unit.name
		}
	}
	return trim(v)
}

func trim(v float64) string {
	text := fmt.Sprintf("%.4f", v)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}
