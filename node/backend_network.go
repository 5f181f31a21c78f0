package node

import (
	"context"
	"time"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/routing/swim"
)

func (b backend) Network(ctx context.Context) (v1.Topology, error) {
	view := b.n.View()
	peers, err := b.Peers(ctx)
	if err != nil {
		return v1.Topology{}, err
	}
	t := v1.Topology{Self: b.n.ID().String(), Peers: peers, Partial: view.Partial, Mesh: !view.Partial && view.Count(routing.Alive, routing.Suspect) <= swim.Default().LargeNetwork}
	for _, p := range peers {
		t.Links = append(t.Links, linksOf(t.Self, p)...)
	}
	return t, nil
}

func (b backend) WatchNetwork(ctx context.Context, cursor string) (api.NetworkWatch, error) {
	return b.n.feed.watch(ctx, cursor)
}

// look takes a picture of the network around the node.
func (n *Node) look() *picture {
	b, ctx := backend{n}, context.Background() // nothing here waits
	p := picture{at: time.Now().UTC(), records: b.records()}
	network, err := b.Network(ctx)
	if err != nil {
		n.cfg.Logger.Warn("look at the network", "error", err)
	}
	p.network = network
	if n.ledger != nil {
		l, err := ledgerBackend{n, n.ledger}.Status(ctx)
		if err != nil {
			n.cfg.Logger.Warn("look at the ledger", "error", err)
		}
		p.ledger, p.block = &l, n.blockBrief
	}
	return newPicture(p)
}

func (n *Node) blockBrief(height int64) (v1.BlockBrief, bool) {
	b, err := n.ledger.Block(height)
	if err != nil { // it is not kept any more
		return v1.BlockBrief{}, false
	}
	brief := v1.BlockBrief{Height: height, Transactions: len(b.Transactions)}
	if len(b.Transactions) > 0 {
		brief.Time = time.UnixMilli(b.Time).UTC()
	}
	return brief, true
}

// changes returns channels of which one is closed when the view has changed or a block was made.
func (n *Node) changes() []<-chan struct{} {
	channels := []<-chan struct{}{n.membership.Changed()}
	if n.ledger != nil {
		channels = append(channels, n.ledger.Moved())
	}
	return channels
}
