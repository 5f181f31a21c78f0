package api

import (
	"context"
	"io"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

const (
	networkPath       = "/v1/network"
	networkEventsPath = networkPath + "/events"
)

func (r *routes) networkRoutes() {
	tags := []string{"peers"}
	handle(r, huma.Operation{
		OperationID: "get-network", Method: http.MethodGet, Path: networkPath, Tags: tags,
		Summary: "Who is there, and who is connected to whom, as far as this node knows",
	}, r.network)
	event := r.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[v1.NetworkEvent](), true, "")
	handle(r, huma.Operation{
		OperationID: "watch-network", Method: http.MethodGet, Path: networkEventsPath, Tags: tags,
		Summary: "Watch the network as this node sees it: peers, repair of records, blocks of the ledger, as server-sent events",
		Description: "The first event is of type state and tells everything; the others tell what changes. The id of an event is a cursor: a client that comes back to this node with it within two minutes goes on there, " +
			"and one whose cursor is too old, or of another node, gets an event of type state. What changes quickly is told a few times a second at most, as it is then; of blocks that come by the hundred, as while they are fetched, the last are told. " +
			"A quiet stream sends ids alone every 15 seconds.",
		Responses: map[string]*huma.Response{"200": {Description: "Events; the data of each is a document", Content: map[string]*huma.MediaType{
			v1.EventsType: {Schema: event},
		}}},
	}, r.networkEvents)
}

func (r *routes) network(ctx context.Context, _ *struct{}) (*document[v1.Topology], error) {
	t, err := r.backend.Network(ctx)
	if err != nil {
		return nil, err
	}
	t.Peers, t.Links = listed(t.Peers), notNil(t.Links)
	return &document[v1.Topology]{t}, nil
}

type networkEventsInput struct {
	Cursor      string `query:"cursor" doc:"Where to go on: the id of the last event; absent: everything first"`
	LastEventID string `header:"Last-Event-ID" doc:"As browsers send it when they take up a stream again; it wins over the cursor"`
}

func (r *routes) networkEvents(_ context.Context, in *networkEventsInput) (*stream, error) {
	cursor := in.Cursor
	if in.LastEventID != "" {
		cursor = in.LastEventID
	}
	return r.streamed(func(ctx context.Context, f *flow) (io.Closer, func(context.Context) error, error) {
		w, err := r.backend.WatchNetwork(ctx, cursor)
		e := eventAnswer[v1.NetworkEvent]{flow: f, source: w, name: func(e *v1.NetworkEvent) string { return e.Event }, brief: true}
		return w, e.run, err
	}), nil
}
