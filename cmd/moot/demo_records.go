package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/folkmoot/folkmoot/records"
)

// demoRecords are what a demo's peers write, in turn, so that there is something to look at.
var demoRecords = [...]struct{ key, value string }{
	{"welcome", "A record: signed by the peer that wrote it, and kept by the peers nearest to its key."},
	{"town/bell", "rings at noon"},
	{"town/council", `{"members":["ann","bob","cid"],"meets":"under the oak"}`},
	{"town/market/apples", "12 baskets"},
	{"town/market/bread", "40 loaves"},
	{"town/market/honey", "7 jars"},
	{"weather/today", "fair, with a light wind from the west"},
}

// fill puts something into the records and into the ledger.
func (d *demoNetwork) fill(ctx context.Context) (*demoLedger, error) {
	nodes := d.nodes()
	for i, r := range demoRecords {
		if _, err := nodes[i%len(nodes)].Records().Put(ctx, r.key, []byte(r.value), records.PutOptions{}); err != nil {
			return nil, fmt.Errorf("put %q: %w", r.key, err)
		}
	}
	for i, n := range nodes {
		about, err := json.Marshal(map[string]string{"id": n.ID().String(), "api": n.APIURL()})
		if err != nil {
			return nil, err
		}
		if _, err := n.Records().Put(ctx, fmt.Sprintf("demo/peer-%d", i+1), about, records.PutOptions{}); err != nil {
			return nil, err
		}
	}
	return fillDemo(ctx, d.dir, nodes[0])
}
