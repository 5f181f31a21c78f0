package moottest

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockVariable makes TestMain tell the time, as a Go program whose clock is wrong.
const clockVariable = "MOOTTEST_TELL_TIME"

func TestMain(m *testing.M) {
	if os.Getenv(clockVariable) != "" {
		began := time.Now()
		time.Sleep(time.Millisecond)
		fmt.Println(began.Unix(), time.Since(began) < time.Minute)
		return
	}
	os.Exit(m.Run())
}

// TestClock wants the clock of one process wrong, of a Go program and of one in C, also where another program becomes it, and that of this process right.
func TestClock(t *testing.T) {
	if err := ClockSupported(); err != nil {
		if !GapsAllowed() {
			t.Fatalf("GAP: %v", err)
		}
		t.Skipf("GAP: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	date := look(t, "date")
	for _, ahead := range []time.Duration{7 * time.Minute, -time.Hour, 1000 * time.Hour} {
		for _, tt := range []struct {
			program string
			command []string
		}{
			{self, []string{self}}, {self, []string{look(t, "sh"), "-c", "exec " + self}}, {date, []string{date, "+%s true"}},
		} {
			cmd := exec.Command(tt.command[0], tt.command[1:]...)
			cmd.Env = append(os.Environ(), clockVariable+"=1")
			before := time.Now()
			p, err := startAhead(cmd, tt.program, ahead)
			if err != nil {
				t.Fatal(err)
			}
			<-p.Ended()
			after := time.Now()
			text, steady, _ := strings.Cut(strings.TrimSpace(p.Output()), " ")
			seconds, err := strconv.ParseInt(text, 10, 64)
			if err != nil || steady != "true" {
				t.Fatalf("%v printed %q", tt.command, p.Output())
			}
			told := time.Unix(seconds, 0).Add(-ahead)
			if told.Before(before.Truncate(time.Second)) || told.After(after) {
				t.Errorf("%v with a clock %s ahead says %s between %s and %s", tt.command, ahead, time.Unix(seconds, 0), before, after)
			}
		}
	}
	if _, err := startAhead(exec.Command(date), date, 100*365*24*time.Hour); err == nil {
		t.Error("a clock that is a century ahead was set")
	}
	if _, err := startAhead(exec.Command("true"), date, time.Hour); err == nil {
		t.Error("the clock of a program was set that never ran")
	}
}

// look returns the file of a program.
func look(t *testing.T, name string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
