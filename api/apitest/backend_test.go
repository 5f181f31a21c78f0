package apitest_test

import (
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/fault"
)

func TestBackendConforms(t *testing.T) {
	apitest.TestBackend(t, func(*testing.T) api.Backend { return apitest.NewBackend(nil) })
}

func TestBackendSays(t *testing.T) {
	b := apitest.NewBackend(nil)
	b.SetReady(fault.New(fault.Unavailable, "no peers yet"))
	if node, err := b.Node(t.Context()); err != nil || node.Ready || node.NotReady != "no peers yet" {
		t.Errorf("node %+v, %v", node, err)
	}
	b.SetMissing(apitest.Other)
	if page, err := b.ListRecords(t.Context(), api.ListOptions{}); err != nil || page.Complete || len(page.Missing) != 1 {
		t.Errorf("page %+v, %v", page, err)
	}
}
