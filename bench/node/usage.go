package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/test/moottest"
)

// tick is the unit of processor times in /proc on Linux (USER_HZ; proc(5)).
const tick = time.Second / 100

// usage is what a process has used.
type usage struct {
	memory int64 // resident bytes
	cpu    time.Duration
}

// usageOf reads a process's usage from /proc.
func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	return parseStat(string(stat), os.Getpagesize())
}

// parseStat reads a line of /proc/PID/stat (proc(5)): utime, stime and rss are fields 14, 15 and 24.
func parseStat(stat string, pageSize int) (usage, error) {
	// The second field is the program's name in parentheses and may hold anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const third = 3
	if len(fields) <= 24-third {
		return usage{}, fmt.Errorf("too few fields in /proc/PID/stat: %q", stat)
	}
	var numbers [3]int64
	for i, field := range []int{14, 15, 24} {
		n, err := strconv.ParseInt(fields[field-third], 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("field %d of /proc/PID/stat: %w", field, err)
		}
		numbers[i] = n
	}
	return usage{memory: numbers[2] * int64(pageSize), cpu: time.Duration(numbers[0]+numbers[1]) * tick}, nil
}

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
