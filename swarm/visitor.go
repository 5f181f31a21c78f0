package swarm

import (
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/folkmoot/folkmoot/internal/machine"
)

// NewVisitor makes a host that listens nowhere: for a short talk with members of a network who do not know it. What it tells by identify is who it is. Errors are those of NewHost.
func NewVisitor(cfg Config, extra ...libp2p.Option) (host.Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	l, err := newLimits(cfg.MaxConnections, machine.Memory(), descriptorLimit())
	if err != nil {
		return nil, err
	}
	return build(&cfg, l, extra)
}
