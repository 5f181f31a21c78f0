//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args           string
		status         int
		stdout, stderr string // parts of what is printed
	}{
		{"", 0, "go run ./test/kubernetes [OPTIONS] COMMAND", ""},
		{"help", 0, "start-node NODE", ""},
		{"--help", 0, "pull the plug", ""},
		{"up --help", 0, "Start the cluster", ""},
		{"kill-node --name x --help", 0, "kill-node [OPTIONS] NODE", ""},
		{"dance", 2, "", `there is no command "dance"`},
		{"kill-node", 2, "", "kill-node [OPTIONS] NODE"},
		{"kill-node node-a node-b", 2, "", "kill-node [OPTIONS] NODE"},
		{"up --nmae x", 2, "", "-nmae"},
		{"exec", 2, "", "which program"},
		{"status --name Big_Name", 1, "", "can't name a cluster"},
		{"--name no-such-cluster kill-node node-a", 1, "", "go run ./test/kubernetes up --name no-such-cluster"},
		{"kill-node node-a --name no-such-cluster", 1, "", "the cluster is not up"},
	} {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), strings.Fields(test.args), &stdout, &stderr)
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if !strings.Contains(stdout.String(), test.stdout) || (test.stdout == "" && stdout.Len() > 0) {
				t.Errorf("stdout is %q, want %q in it", &stdout, test.stdout)
			}
			if !strings.Contains(stderr.String(), test.stderr) || (test.stderr == "" && stderr.Len() > 0) {
				t.Errorf("stderr is %q, want %q in it", &stderr, test.stderr)
			}
		})
	}
}
