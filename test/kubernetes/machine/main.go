//go:build linux

package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/folkmoot/folkmoot/test/netns"
)

// Main is the stage program: args are the stage and the file of its spec. It returns the exit status.
func Main(args []string) int {
	if len(args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: stage start|keep|init SPEC")
		return 2
	}
	spec, err := loadSpec(args[1])
	if err == nil {
		switch args[0] {
		case "start":
			err = start(spec, args[1])
		case "keep":
			err = keep(spec, args[1])
		case "init":
			err = initialize(spec)
		default:
			err = fmt.Errorf("there is no stage %q", args[0])
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", args[0], err)
		return 1
	}
	return 0
}

// start leaves a keeper behind, and prints what it tells.
func start(spec *Spec, file string) error {
	log, err := openLog(spec.Log("machine"))
	if err != nil {
		return err
	}
	defer log.Close()
	told, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer told.Close()
	cmd := exec.Command("/proc/self/exe", "keep", file)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{tell}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // not ended by what ends the caller's session
	if err := cmd.Start(); err != nil {
		return err
	}
	tell.Close()
	text, err := io.ReadAll(told)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return errors.Join(fmt.Errorf("it ended at once, see %s", log.Name()), cmd.Wait())
	}
	_, err = os.Stdout.Write(text)
	return err
}

func openLog(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

// The descriptors that a stage inherits beyond the standard ones.
const (
	tellFile  = 3 // keep: told what runs; init: told that all is set up
	readyFile = tellFile
	goFile    = 4 // init: closed when it may begin
)

// keep runs the computer's init, and ends with it.
func keep(spec *Spec, file string) error {
	tell := os.NewFile(tellFile, "tell")
	syscall.CloseOnExec(tellFile)
	var listener net.Listener
	if spec.Forward != "" {
		var err error
		if listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			return err
		}
		defer listener.Close()
	}
	if err := enterCgroups(spec.Cgroups); err != nil {
		return err
	}
	// Do keeps the thread for as long as this runs: its end is what the parent-death signal tells init of.
	return netns.Do(spec.Namespace, func() error {
		return keepInit(spec, file, tell, listener)
	})
}

func keepInit(spec *Spec, file string, tell *os.File, listener net.Listener) error {
	isReady, ready, err := os.Pipe()
	if err != nil {
		return err
	}
	mayGo, begin, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", "init", file)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{ready, mayGo}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP,
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ready.Close()
	mayGo.Close()
	err = errors.Join(leaveRoot(spec.Cgroups), begin.Close())
	if err == nil {
		_, err = isReady.Read(make([]byte, 1))
	}
	if err == nil {
		err = report(cmd.Process.Pid, tell, listener)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("set up %s: %w", spec.Hostname, err), cmd.Process.Kill(), cmd.Wait())
	}
	if listener != nil {
		go forward(listener, spec.Namespace, spec.Forward) // for as long as this process lives
	}
	return cmd.Wait()
}

// report tells what runs to whoever started this.
func report(id int, tell *os.File, listener net.Listener) error {
	var p Processes
	var err error
	if p.Keep, err = processOf(os.Getpid()); err != nil {
		return err
	}
	if p.Init, err = processOf(id); err != nil {
		return err
	}
	if listener != nil {
		p.Forward = listener.Addr().String()
	}
	if err := json.NewEncoder(tell).Encode(p); err != nil {
		return err
	}
	return tell.Close()
}

// forward passes connections on to an address in the namespace, until the listener fails.
func forward(listener net.Listener, namespace, addr string) {
	for {
		outer, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "forward:", err)
			return
		}
		go func() {
			defer outer.Close()
			inner, err := dial(namespace, addr)
			if err != nil {
				fmt.Fprintln(os.Stderr, "forward:", err)
				return
			}
			defer inner.Close()
			join(outer.(*net.TCPConn), inner)
		}()
	}
}

func dial(namespace, addr string) (inner *net.TCPConn, err error) {
	err = netns.Do(namespace, func() error {
		conn, err := net.Dial("tcp4", addr)
		if err == nil {
			inner = conn.(*net.TCPConn)
		}
		return err
	})
	return inner, err
}

// join copies both ways until both ends are done.
func join(a, b *net.TCPConn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(a, b)
		a.CloseWrite()
	}()
	io.Copy(b, a)
	b.CloseWrite()
	<-done
}
