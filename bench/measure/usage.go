package measure

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor times in /proc on Linux (USER_HZ; proc(5)).
const tick = time.Second / 100

// Usage is what a process uses.
type Usage struct {
	Memory int64         // resident bytes
	CPU    time.Duration // processor time so far, in steps of 10 ms
}

// UsageOf reads the usage of a process from /proc: it works on Linux only.
func UsageOf(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read the usage of a process: %w", err)
	}
	return parseStat(string(stat), os.Getpagesize())
}

// parseStat reads a line of /proc/PID/stat (proc(5)): utime, stime and rss are fields 14, 15 and 24.
func parseStat(stat string, pageSize int) (Usage, error) {
	// The second field is the program's name in parentheses and may hold anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const third = 3
	if len(fields) <= 24-third {
		return Usage{}, fmt.Errorf("too few fields in /proc/PID/stat: %q", stat)
	}
	var numbers [3]int64
	for i, field := range []int{14, 15, 24} {
		n, err := strconv.ParseInt(fields[field-third], 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("field %d of /proc/PID/stat: %w", field, err)
		}
		numbers[i] = n
	}
	return Usage{Memory: numbers[2] * int64(pageSize), CPU: time.Duration(numbers[0]+numbers[1]) * tick}, nil
}
