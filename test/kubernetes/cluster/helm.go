//go:build linux

package cluster

import (
	"context"
	"io"
	"path/filepath"
)

// HelmProgram returns the helm that HelmCommand runs, for what needs no cluster. The first time on a machine builds it.
func HelmProgram(ctx context.Context, log io.Writer) (string, error) {
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	programs, err := helmSuite.build(ctx, cache, log)
	return filepath.Join(programs, "helm"), err
}
