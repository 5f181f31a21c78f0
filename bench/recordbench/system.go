package recordbench

import (
	"context"
	"time"
)

// Names of the systems.
const (
	mootSynced   = "moot"
	mootUnsynced = "moot unsynced"
	mootNodes    = "moot over HTTP"
	stockKadDHT  = "kad-dht"
	stockEtcd    = "etcd"
)

// smallPeers is how many peers are compared with etcd, which is not made for many.
const smallPeers = 3

// A cluster is a system at work. Peers are numbered from 0.
type cluster interface {
	Put(ctx context.Context, peer int, key string, value []byte) error
	Get(ctx context.Context, peer int, key string) ([]byte, error)
	// CPU returns the processor time that all peers have used so far, and those who make requests of them.
	CPU() (time.Duration, error)
	Close() error
}

// A system is something that stores records on many peers.
type system struct {
	name string
	open func(context.Context) (cluster, error)
}

// inOneProcess returns what is compared in a network of many peers.
func inOneProcess(c *Config) []system {
	var systems []system
	if c.wants(Records) {
		systems = append(systems, system{mootSynced, c.openStores(c.Peers, false)}, system{mootUnsynced, c.openStores(c.Peers, true)})
	}
	if c.wants(Kademlia) {
		systems = append(systems, system{stockKadDHT, func(ctx context.Context) (cluster, error) { return openKademlia(ctx, c.Peers) }})
	}
	return systems
}

// ofThree returns what is compared in a network of three peers.
func ofThree(c *Config, haveEtcd bool) []system {
	var systems []system
	if c.wants(Records) {
		systems = append(systems, system{mootSynced, c.openStores(smallPeers, false)})
		if c.Program != "" {
			systems = append(systems, system{mootNodes, func(ctx context.Context) (cluster, error) {
				return openNodes(ctx, c.Dir, c.Program, smallPeers)
			}})
		}
	}
	if c.wants(Etcd) && haveEtcd {
		systems = append(systems, system{stockEtcd, func(ctx context.Context) (cluster, error) { return openEtcd(ctx, c.Dir, smallPeers) }})
	}
	return systems
}

func (c *Config) openStores(peers int, noSync bool) func(context.Context) (cluster, error) {
	return func(ctx context.Context) (cluster, error) {
		return openMoot(ctx, mootOptions{dir: c.Dir, peers: peers, copies: c.Copies, noSync: noSync})
	}
}
