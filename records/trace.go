package records

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// spanNames are what spans call the ops: the request to a holder, and the work for it.
var spanNames = [...]struct{ call, serve string }{
	opPut: {"call put", "serve put"}, opGet: {"call get", "serve get"}, opGetVersion: {"call get-version", "serve get-version"}, opList: {"call list", "serve list"},
	opPutProvider: {"call put-provider", "serve put-provider"}, opGetProviders: {"call get-providers", "serve get-providers"}, opPutIf: {"call put-if", "serve put-if"},
	opCompare: {"call compare", "serve compare"}, opHeads: {"call heads", "serve heads"}, opFetch: {"call fetch", "serve fetch"}, opStore: {"call store", "serve store"},
	opHolding: {"call holding", "serve holding"}, opCount: {"call count", "serve count"},
}

// callName and serveName are the same for all ops that are not known: what a peer sends does not come into a name.
func (o op) callName() string {
	if int(o) < len(spanNames) && spanNames[o].call != "" {
		return spanNames[o].call
	}
	return "call other"
}

func (o op) serveName() string {
	if int(o) < len(spanNames) && spanNames[o].serve != "" {
		return spanNames[o].serve
	}
	return "serve other"
}

// traced records what is done for the requests of members that say to which trace they belong. Of others nothing is believed.
func (s *Store) traced(next rpc.Handler) rpc.Handler {
	if s.cfg.Tracer == nil {
		return next
	}
	return func(ctx context.Context, from peer.ID, data []byte) (answer []byte, err error) {
		tracer := s.cfg.Tracer
		if _, member := s.cfg.Viewer.View().Member(from); !member {
			tracer = nil
		}
		var o op
		if len(data) > 0 {
			o = op(data[0])
		}
		ctx, span := tracer.Serve(ctx, from, o.serveName())
		defer tracing.End(span, &err)
		return next(ctx, from, data)
	}
}
