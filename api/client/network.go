package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

const networkPath = "/v1/network"

// Network returns who is there and who is connected to whom, as far as the node knows.
func (c *Client) Network(ctx context.Context) (v1.Topology, error) {
	return document[v1.Topology](ctx, c, call{method: http.MethodGet, path: networkPath})
}

// NetworkEvents yields how the network around the node changes, from a cursor on, or with an empty one from everything on (v1.NetworkState), each event with the newest cursor; the first says no more than that it is watched. A stream that breaks off is taken up again where it was, or with everything: its error, of kind fault.Unavailable, is
// yielded, and it goes on if the caller does. Every other error ends it.
func (c *Client) NetworkEvents(ctx context.Context, cursor string) iter.Seq2[v1.NetworkEvent, error] {
	patient := *c
	patient.timeout = max(c.timeout, eventSilence)
	return func(yield func(v1.NetworkEvent, error) bool) {
		resume(ctx, yield, func(heard func()) error {
			return patient.streamEvents(ctx, call{path: networkPath + "/events"}, cursor, func(data []byte, newest string) error {
				heard()
				cursor = newest
				e := v1.NetworkEvent{Event: v1.NetworkCursor}
				if len(data) > 0 {
					if err := json.Unmarshal(data, &e); err != nil {
						return c.notADocument(err)
					}
				}
				if e.Cursor = newest; !yield(e, nil) {
					return errStopped
				}
				return nil
			})
		})
	}
}
