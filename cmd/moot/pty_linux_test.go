package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// terminalPatience bounds the wait for the shell on a machine that is busy.
const terminalPatience = time.Minute

// openTerminal returns both ends of a pseudo-terminal: what a person has in hand, and what a program sees.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	ioctl := func(request uintptr, argument *int32) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), request, uintptr(unsafe.Pointer(argument))); errno != 0 {
			t.Fatal(errno)
		}
	}
	var number, unlock int32
	ioctl(syscall.TIOCSPTLCK, &unlock)
	ioctl(syscall.TIOCGPTN, &number)
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// screen is what a program has written to its terminal.
type screen struct {
	mu    sync.Mutex
	text  bytes.Buffer  // guarded by mu
	grown chan struct{} // has room for one: there is more
}

func watch(person *os.File) *screen {
	s := &screen{grown: make(chan struct{}, 1)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := person.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			select {
			case s.grown <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

// await waits until want was written behind the place where the last want ended.
func (s *screen) await(t *testing.T, want string) {
	t.Helper()
	patience := time.NewTimer(terminalPatience)
	defer patience.Stop()
	for {
		s.mu.Lock()
		i := strings.Index(s.text.String(), want)
		if i >= 0 {
			s.text.Next(i + len(want))
		}
		text := s.text.String()
		s.mu.Unlock()
		if i >= 0 {
			return
		}
		select {
		case <-s.grown:
		case <-patience.C:
			t.Fatalf("no %q in %q", want, text)
		}
	}
}

// TestShellOnATerminal holds a conversation with the prompt.
func TestShellOnATerminal(t *testing.T) {
	b := newBench(t)
	b.must("put", "config/one", "first")
	person, program := openTerminal(t)
	seen := watch(person)
	var stderr bytes.Buffer
	a := &app{
		stdin: program, stdout: program, stderr: io.MultiWriter(&stderr, program), stdinTerminal: true, stdoutTerminal: true,
		lookupEnv: func(name string) (string, bool) { v, ok := b.env[name]; return v, ok },
	}
	ended := make(chan int, 1)
	go func() { ended <- a.run([]string{"shell"}) }()
	say := func(keys, answer string) {
		t.Helper()
		seen.await(t, shellPrompt)
		if _, err := person.WriteString(keys); err != nil {
			t.Fatal(err)
		}
		seen.await(t, answer)
	}
	say("PUT greeting \"hello there\"\r", "Put record greeting")
	say("GET greeting\r", "hello there\r\n")
	say("\x1b[A\x1b[A\r", "Put record greeting") // two lines up in the history
	say("get c\t\r", "first\r\n")                // tab completes the key
	say("PUT half a li\x03", "^C")               // Ctrl-C gives up the line
	say("GET none\r", "moot: record \"none\"")   // an error does not end the shell
	say("\x04", "\r\n")                          // Ctrl-D ends it
	select {
	case code := <-ended:
		if code != exitDone {
			t.Errorf("exit %d, %s", code, stderr.String())
		}
	case <-time.After(terminalPatience):
		t.Fatal("the shell goes on after Ctrl-D")
	}
	history, err := os.ReadFile(filepath.Join(b.home, historyFile))
	if want := "PUT greeting \"hello there\"\nGET greeting\n"; err != nil || !strings.HasPrefix(string(history), want) {
		t.Errorf("history %q, %v", history, err)
	}
}
