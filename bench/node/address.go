package main

import (
	"context"
	"encoding/json"
	"fmt"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/test/moottest"
)

// firstAddress asks a node for the first address at which others reach it.
func firstAddress(ctx context.Context, n *moottest.Node) (string, error) {
	result, err := n.Run(ctx, "", "status", "--json")
	if err != nil {
		return "", err
	}
	var status v1.Node
	if err := json.Unmarshal([]byte(result.Stdout), &status); err != nil {
		return "", fmt.Errorf("read moot status: %w", err)
	}
	if len(status.Addresses) == 0 {
		return "", fmt.Errorf("the node on %s names no address", n.Home)
	}
	return status.Addresses[0], nil
}
