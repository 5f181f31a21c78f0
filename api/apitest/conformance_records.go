package apitest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// wantValue checks that a read of "k" gives want.
func wantValue(t *testing.T, b api.Backend, want string) {
	t.Helper()
	if rec, err := b.GetRecord(t.Context(), "k", api.GetOptions{}); err != nil || string(rec.Value) != want {
		t.Errorf("the value is %q, %v; want %q", rec.Value, err, want)
	}
}

func testConditions(t *testing.T, b api.Backend) {
	putIf := func(value string, opts api.PutOptions) (v1.Written, error) {
		return b.PutRecord(t.Context(), "k", []byte(value), opts)
	}
	first, err := putIf("first", api.PutOptions{IfAbsent: true})
	if err != nil {
		t.Fatalf("put where nothing is: %v", err)
	}
	_, err = putIf("other", api.PutOptions{IfAbsent: true})
	wantKind(t, "put if absent over a record", err, fault.Conflict)
	wantValue(t, b, "first")

	second, err := putIf("second", api.PutOptions{IfVersion: first.Version})
	if err != nil || second.Version == first.Version {
		t.Fatalf("put over the newest version: %+v, %v", second, err)
	}
	_, err = putIf("other", api.PutOptions{IfVersion: first.Version})
	wantKind(t, "put over an old version", err, fault.Conflict)
	_, err = b.DeleteRecord(t.Context(), "k", api.PutOptions{IfVersion: first.Version})
	wantKind(t, "delete an old version", err, fault.Conflict)
	wantValue(t, b, "second")

	if _, err = b.DeleteRecord(t.Context(), "k", api.PutOptions{IfVersion: second.Version}); err != nil {
		t.Errorf("delete the newest version: %v", err)
	}
	_, err = putIf("other", api.PutOptions{IfVersion: second.Version})
	wantKind(t, "put over a version that was deleted", err, fault.Conflict)
	_, err = b.PutRecord(t.Context(), "never was", nil, api.PutOptions{IfVersion: second.Version})
	wantKind(t, "put over a version where nothing was", err, fault.Conflict)
	if _, err := putIf("again", api.PutOptions{IfAbsent: true}); err != nil {
		t.Errorf("put if absent after a deletion: %v", err)
	}
	wantValue(t, b, "again")
}

func testReadConsistency(t *testing.T, b api.Backend) {
	if _, err := b.PutRecord(t.Context(), "k", []byte("v"), api.PutOptions{Consistency: "all"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"", "one", "quorum", "all"} {
		rec, err := b.GetRecord(t.Context(), "k", api.GetOptions{Consistency: c})
		if err != nil || string(rec.Value) != "v" {
			t.Errorf("get with consistency %q: %q, %v", c, rec.Value, err)
		}
		if n := rec.Copies; n.Stored < 1 || n.Stored > n.Wanted || n.Wanted > n.Configured || c == "all" && n.Stored != n.Wanted {
			t.Errorf("get with consistency %q: copies %+v", c, n)
		}
	}
}

func testSessions(t *testing.T, b api.Backend) {
	w, err := b.PutRecord(t.Context(), "k", []byte("v"), api.PutOptions{})
	if err != nil || w.Session == "" {
		t.Fatalf("put: session %q, %v", w.Session, err)
	}
	rec, err := b.GetRecord(t.Context(), "k", api.GetOptions{Session: w.Session})
	if err != nil || rec.Version != w.Version || rec.Session == "" {
		t.Fatalf("get in the session of the put: %+v, %v", rec, err)
	}
	w, err = b.DeleteRecord(t.Context(), "k", api.PutOptions{Session: rec.Session})
	if err != nil || w.Session == "" {
		t.Fatalf("delete in the session: session %q, %v", w.Session, err)
	}
	_, err = b.GetRecord(t.Context(), "k", api.GetOptions{Session: w.Session})
	wantKind(t, "get what the session deleted", err, fault.NotFound)
	_, err = b.GetRecord(t.Context(), "never was", api.GetOptions{Session: w.Session})
	wantKind(t, "get what never was", err, fault.NotFound)
	// A session that has seen very many keys is still a token.
	token := w.Session
	for i := range 3 * maxSessionKeys {
		w, err := b.PutRecord(t.Context(), fmt.Sprint("many ", i), nil, api.PutOptions{Session: token})
		if err != nil || len(w.Session) > v1.MaxSession {
			t.Fatalf("put %d of a session: a token of %d bytes, %v", i, len(w.Session), err)
		}
		token = w.Session
	}
}

func testHolders(t *testing.T, b api.Backend) {
	w, err := b.PutRecord(t.Context(), "k", []byte("value"), api.PutOptions{Consistency: "all"})
	if err != nil {
		t.Fatal(err)
	}
	holding, err := b.Holders(t.Context(), "k")
	if err != nil || holding.Key != "k" || holding.Wanted < 1 || holding.Copies < holding.Wanted || holding.Quorum != holding.Wanted/2+1 {
		t.Fatalf("holders: %+v, %v", holding, err)
	}
	wanted := 0
	for _, h := range holding.Holders {
		if h.Wanted {
			wanted++
		}
		if h.ID == "" || h.State == "" || h.Level == "" || h.Wanted && (!h.Answered || !h.Found || h.Version != w.Version || h.Since.IsZero() || h.Size != 5 || h.Deleted) {
			t.Errorf("holder %+v, want version %s", h, w.Version)
		}
	}
	if wanted != holding.Wanted {
		t.Errorf("%d holders, want %d", wanted, holding.Wanted)
	}
	none, err := b.Holders(t.Context(), "never was")
	if err != nil || len(none.Holders) < 1 || slices.ContainsFunc(none.Holders, func(h v1.Holder) bool { return h.Found }) {
		t.Errorf("holders of what never was: %+v, %v", none, err)
	}
}

func testStanding(t *testing.T, b api.Backend) {
	const records = 20
	for i := range records {
		if _, err := b.PutRecord(t.Context(), fmt.Sprint("k", i), nil, api.PutOptions{Consistency: "all"}); err != nil {
			t.Fatal(err)
		}
	}
	standing, err := b.Standing(t.Context())
	if err != nil || !standing.Complete || len(standing.Missing) != 0 || standing.Full+standing.Below+standing.Unreachable < records {
		t.Errorf("standing: %+v, %v", standing, err)
	}
	node, err := b.Node(t.Context())
	if err != nil || node.Records.ShardsHeld < node.Records.ShardsSynced || node.Records.ShardsHeld < 1 {
		t.Errorf("records: %+v, %v", node.Records, err)
	}
}

func testListAfter(t *testing.T, b api.Backend) {
	for i := range 10 {
		put(t, b, fmt.Sprintf("k%d", i), nil)
	}
	for _, c := range []struct {
		opts api.ListOptions
		want []string
	}{
		{api.ListOptions{After: "k6"}, []string{"k7", "k8", "k9"}},
		{api.ListOptions{After: "k77"}, []string{"k8", "k9"}},
		{api.ListOptions{After: "k4", Limit: 2}, []string{"k5", "k6"}},
		{api.ListOptions{After: "k9"}, nil},
		{api.ListOptions{Prefix: "k1", After: "k0"}, []string{"k1"}},
		{api.ListOptions{Prefix: "k1", After: "k5"}, nil},
	} {
		page, err := b.ListRecords(t.Context(), c.opts)
		var got []string
		for _, e := range page.Records {
			got = append(got, e.Key)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("list %+v: %q, %v; want %q", c.opts, got, err, c.want)
		}
	}
}
