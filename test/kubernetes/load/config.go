package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"
)

// What a Config that does not say means.
const (
	DefaultCallers        = 8
	DefaultRate           = 50 // per second, of PUT and of GET
	DefaultValueSize      = 256
	DefaultAttemptTimeout = 2 * time.Second
	DefaultPatience       = 30 * time.Second
)

// maxRate bounds what a Load may be asked for: it is for watching a network, not for measuring how much it takes.
const maxRate = 5000

// Config says what load to put on which network.
type Config struct {
	// Targets are the base URLs of the API, such as http://10.0.0.1:7070, each of a node or of a Service in front of nodes. A caller stays with one until it fails.
	Targets []string
	// DialContext connects to a target; nil: from this machine.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Token is the API's; may be empty.
	Token string
	// Callers work at the same time, each with one operation after the other; 0: DefaultCallers.
	Callers int
	// PutRate and GetRate are how many operations per second all callers together begin; both 0: DefaultRate each. A caller that waits for an answer begins no other meanwhile.
	PutRate, GetRate float64
	// ValueSize is about how many bytes a value has; 0: DefaultValueSize.
	ValueSize int
	// AttemptTimeout is how long a caller waits for one target's answer; 0: DefaultAttemptTimeout.
	AttemptTimeout time.Duration
	// Patience is how long a caller tries one operation, at one target after the other, before it counts as failed; 0: DefaultPatience.
	Patience time.Duration
	// Seed decides which operations are made; 0: drawn. It also names the keys.
	Seed uint64
}

// Validate says what is wrong with the configuration.
func (c *Config) Validate() error {
	switch {
	case len(c.Targets) == 0:
		return errors.New("load: no targets")
	case c.Callers < 0 || c.ValueSize < 0 || c.AttemptTimeout < 0 || c.Patience < 0:
		return errors.New("load: negative number")
	case c.PutRate < 0 || c.GetRate < 0 || c.PutRate+c.GetRate > maxRate:
		return fmt.Errorf("load: %v PUT/s and %v GET/s: want 0 to %d in all", c.PutRate, c.GetRate, maxRate)
	}
	return nil
}

// withDefaults returns the configuration with everything said.
func (c Config) withDefaults() Config {
	c.Targets = slices.Clone(c.Targets)
	if c.DialContext == nil {
		c.DialContext = new(net.Dialer).DialContext
	}
	if c.Callers == 0 {
		c.Callers = DefaultCallers
	}
	if c.PutRate == 0 && c.GetRate == 0 {
		c.PutRate, c.GetRate = DefaultRate, DefaultRate
	}
	if c.ValueSize == 0 {
		c.ValueSize = DefaultValueSize
	}
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = DefaultAttemptTimeout
	}
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	return c
}
