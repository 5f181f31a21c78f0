package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func (r *routes) nodeRoutes() {
	tags := []string{"peers"}
	handle(r, huma.Operation{
		OperationID: "get-node", Method: http.MethodGet, Path: "/v1/node", Tags: tags,
		Summary: "This node: id, network, addresses, peers by state, records",
	}, r.getNode)
	handle(r, huma.Operation{
		OperationID: "list-peers", Method: http.MethodGet, Path: "/v1/peers", Tags: tags,
		Summary: "Every peer known and the node itself, sorted by id",
	}, r.listPeers)
	handle(r, huma.Operation{
		OperationID: "list-members", Method: http.MethodGet, Path: "/v1/members", Tags: tags,
		Summary: "Who is a member of a network for members only, or was one",
	}, r.listMembers)
	handle(r, huma.Operation{
		OperationID: "find-peer", Method: http.MethodGet, Path: "/v1/peers/{id}", Tags: tags,
		Summary: "Find a peer, beyond those known where needed",
	}, r.findPeer)
	handle(r, huma.Operation{
		OperationID: "ping-peer", Method: http.MethodPost, Path: "/v1/peers/{id}/ping", Tags: tags,
		Summary: "Measure one round trip to a peer",
	}, r.pingPeer)
	handle(r, huma.Operation{
		OperationID: "ping", Method: http.MethodPost, Path: "/v1/ping", Tags: tags, MaxBodyBytes: maxDocument,
		Summary: "Measure one round trip to a peer id or a multiaddr",
	}, r.ping)
}

func (r *routes) getNode(ctx context.Context, _ *struct{}) (*document[v1.Node], error) {
	node, err := r.backend.Node(ctx)
	if err != nil {
		return nil, err
	}
	node.Addresses = notNil(node.Addresses)
	return &document[v1.Node]{node}, nil
}

func (r *routes) listPeers(ctx context.Context, _ *struct{}) (*document[v1.Peers], error) {
	peers, err := r.backend.Peers(ctx)
	if err != nil {
		return nil, err
	}
	return &document[v1.Peers]{v1.Peers{Peers: listed(peers)}}, nil
}

// listed makes lists of none of what JSON would write as null.
func listed(peers []v1.Peer) []v1.Peer {
	for i := range peers {
		peers[i].Addresses = notNil(peers[i].Addresses)
	}
	return notNil(peers)
}

func (r *routes) listMembers(ctx context.Context, _ *struct{}) (*document[v1.Members], error) {
	list, err := r.backend.Members(ctx)
	list.Members = notNil(list.Members)
	return documentOf(list, err)
}

type peerInput struct {
	ID string `path:"id" doc:"Peer id"`
}

type findInput struct {
	ID  string `path:"id" doc:"Peer id"`
	Via string `query:"via" enum:"iterative,recursive,broadcast" doc:"Ask others this way, even for a peer that is known; absent: only for one that is not, and as the node is set"`
}

func (r *routes) findPeer(ctx context.Context, in *findInput) (*document[v1.Peer], error) {
	peer, err := r.backend.FindPeer(ctx, in.ID, in.Via)
	if err != nil {
		return nil, err
	}
	peer.Addresses = notNil(peer.Addresses)
	return &document[v1.Peer]{peer}, nil
}

func (r *routes) pingPeer(ctx context.Context, in *peerInput) (*document[v1.Pong], error) {
	return r.pong(ctx, in.ID)
}

type pingInput struct{ Body v1.PingRequest }

func (r *routes) ping(ctx context.Context, in *pingInput) (*document[v1.Pong], error) {
	if in.Body.Target == "" {
		return nil, fault.New(fault.Invalid, "the target is empty: give a peer id or a multiaddr")
	}
	return r.pong(ctx, in.Body.Target)
}

func (r *routes) pong(ctx context.Context, target string) (*document[v1.Pong], error) {
	pong, err := r.backend.Ping(ctx, target)
	if err != nil {
		return nil, err
	}
	return &document[v1.Pong]{pong}, nil
}

func (r *routes) healthRoutes() {
	tags := []string{"health"}
	handle(r, huma.Operation{
		OperationID: "livez", Method: http.MethodGet, Path: livePath, Tags: tags, Security: everybody(),
		Summary: "Answers 200 as long as the node serves",
	}, func(context.Context, *struct{}) (*document[v1.Health], error) {
		return &document[v1.Health]{v1.Health{Status: "live"}}, nil
	})
	handle(r, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: readyPath, Tags: tags, Security: everybody(),
		Summary: "Answers 200 when the node can serve, and otherwise 503 and why not",
	}, readiness(r.backend.Ready))
	handle(r, huma.Operation{
		OperationID: "readyz-records", Method: http.MethodGet, Path: recordsReadyPath, Tags: tags, Security: everybody(),
		Summary: "Answers 200 when the node can serve and, since it started, was in sync and saw all that it holds at full count; otherwise 503 and what is missing",
	}, readiness(r.backend.RecordsReady))
}

// readiness answers whether the node is ready as far as ready tells.
func readiness(ready func(context.Context) error) func(context.Context, *struct{}) (*document[v1.Health], error) {
	return func(ctx context.Context, _ *struct{}) (*document[v1.Health], error) {
		if err := ready(ctx); err != nil {
			return nil, fault.As(fault.Unavailable, err)
		}
		return &document[v1.Health]{v1.Health{Status: "ready"}}, nil
	}
}

// notNil makes an empty list of none, which JSON writes as [] rather than null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
