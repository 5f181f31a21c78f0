// Package recordbench measures the record store beside stock kad-dht and etcd on one machine in one run: how many PUTs and GETs each
// does, what they cost, how long they take, what an idle peer costs, how costs grow with the network, and what the loss of a peer costs.
package recordbench

import (
	"slices"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// Bounds of a Config.
const (
	MaxPeers    = 1024
	MaxCallers  = 4096
	MaxValue    = 1 << 20
	MaxRounds   = 100
	MaxDuration = 10 * time.Minute
)

// Config says what is measured. Default and Quick return usual ones.
type Config struct {
	// Peers is how many are compared with kad-dht, all in this process.
	Peers int
	// Copies is how many copies of each record the store keeps.
	Copies int
	// Callers are the numbers of concurrent callers, Sizes those of bytes in a value.
	Callers, Sizes []int
	// Duration is the time for each figure of each round.
	Duration time.Duration
	// Rounds is how often everything is measured, all systems in turns.
	Rounds int
	// Only restricts what is measured to one family of systems; empty means all.
	Only Family
	// Scale are the sizes of networks whose costs are compared.
	Scale []int
	// Idle is for how long idle peers are watched.
	Idle time.Duration
	// Losses is how many peers are lost, one after the other, to see what that costs.
	Losses int
	// LossRecords is how many records of 4 KiB are stored before that.
	LossRecords int
	// Dir is the folder for stores; its disk is measured. Empty means the system's folder for temporary files.
	Dir string
	// Program is the path of moot, which is run as processes for the comparison with etcd; empty leaves that out.
	Program string
	// Progress is told what is measured next; it may be nil.
	Progress func(what string)
}

// Family is a family of systems.
type Family string

// The families.
const (
	Records  Family = "records"
	Kademlia Family = "kad-dht"
	Etcd     Family = "etcd"
)

// Families returns all families.
func Families() []Family { return []Family{Records, Kademlia, Etcd} }

// Default returns what the published figures are made with. It takes about half an hour.
func Default() Config {
	return Config{
		Peers: 32, Copies: 5, Callers: []int{1, 16, 64}, Sizes: []int{256, 4096}, Duration: 3 * time.Second, Rounds: 5,
		Scale: []int{8, 16, 32}, Idle: 10 * time.Second, Losses: 3, LossRecords: 4000,
	}
}

// Quick returns a Config that takes less than a minute and shows roughly the same.
func Quick() Config {
	return Config{
		Peers: 32, Copies: 5, Callers: []int{64}, Sizes: []int{256}, Duration: 700 * time.Millisecond, Rounds: 1,
		Scale: []int{8, 32}, Idle: time.Second, Losses: 1, LossRecords: 500,
	}
}

// Validate returns an error of kind fault.Invalid when the configuration cannot work.
func (c *Config) Validate() error {
	switch {
	case c.Peers < 1 || c.Peers > MaxPeers:
		return fault.New(fault.Invalid, "%d peers: want 1 to %d", c.Peers, MaxPeers)
	case c.Rounds < 1 || c.Rounds > MaxRounds:
		return fault.New(fault.Invalid, "%d rounds: want 1 to %d", c.Rounds, MaxRounds)
	case c.Duration <= 0 || c.Duration > MaxDuration || c.Idle <= 0 || c.Idle > MaxDuration:
		return fault.New(fault.Invalid, "%v for each figure and %v idle: want up to %v", c.Duration, c.Idle, MaxDuration)
	case len(c.Callers) == 0 || !within(c.Callers, MaxCallers):
		return fault.New(fault.Invalid, "%v callers: want numbers from 1 to %d", c.Callers, MaxCallers)
	case len(c.Sizes) == 0 || !within(c.Sizes, MaxValue):
		return fault.New(fault.Invalid, "values of %v bytes: want numbers from 1 to %d", c.Sizes, MaxValue)
	case !within(c.Scale, MaxPeers):
		return fault.New(fault.Invalid, "networks of %v peers: want numbers from 1 to %d", c.Scale, MaxPeers)
	case c.Losses < 0 || c.Losses > MaxPeers/2:
		return fault.New(fault.Invalid, "%d lost peers: want 0 to %d", c.Losses, MaxPeers/2)
	case c.LossRecords < 0:
		return fault.New(fault.Invalid, "%d records before peers are lost: want 0 or more", c.LossRecords)
	}
	if c.Only != "" && !slices.Contains(Families(), c.Only) {
		var names []string
		for _, f := range Families() {
			names = append(names, string(f))
		}
		return fault.New(fault.Invalid, "systems %q: want one of %s", c.Only, strings.Join(names, ", "))
	}
	return nil
}

func within(numbers []int, most int) bool {
	return !slices.ContainsFunc(numbers, func(n int) bool { return n < 1 || n > most })
}

// wants reports whether a family is to be measured.
func (c *Config) wants(f Family) bool { return c.Only == "" || c.Only == f }

func (c *Config) progress(what string) {
	if c.Progress != nil {
		c.Progress(what)
	}
}
