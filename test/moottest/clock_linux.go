package moottest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// How the clock of one process is set: programs read the time with clock_gettime from the page of code that the kernel puts into every process (the vDSO). Before the program runs its first instruction, that function is
// replaced, in its own process alone, by one that asks the kernel and adds to the answer. So the program under test is the one that users run.

const (
	// auxVDSO is the key of the vDSO's address in a process's auxiliary vector.
	auxVDSO = 33
	// maxVDSO bounds the size of the vDSO, which is two or three pages.
	maxVDSO = 1 << 20
	// clockFunction is the name of clock_gettime in the vDSO of this architecture.
	clockFunction = "__vdso_clock_gettime"
)

// ClockSupported returns nil where a process can be given a clock that is wrong, and otherwise why not.
func ClockSupported() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the clock of one process is set on amd64 only, this is %s", runtime.GOARCH)
	}
	program, err := exec.LookPath("true")
	if err != nil {
		return err
	}
	p, err := startAhead(exec.Command(program), program, time.Hour)
	if err != nil {
		return err
	}
	if <-p.Ended(); !p.cmd.ProcessState.Success() {
		return fmt.Errorf("a program whose clock was set does not run: %s", p.cmd.ProcessState)
	}
	return nil
}

// traceExec makes the process stop when it has become another program, and before that one runs.
func traceExec(cmd *exec.Cmd) { cmd.SysProcAttr.Ptrace = true }

// setClock makes the wall clock of a process be ahead from its first instruction on, and lets it run. The process was just started by this thread after traceExec; program is the one whose clock is meant, which
// another may have to become first.
func setClock(pid int, program string, ahead time.Duration) error {
	for first := true; ; first = false {
		if err := awaitStop(pid); err != nil {
			return err
		}
		if first {
			if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACEEXEC); err != nil {
				return fmt.Errorf("follow the process: %w", err)
			}
		}
		if is, err := runs(pid, program); err != nil {
			return err
		} else if is {
			break
		}
		if err := syscall.PtraceCont(pid, 0); err != nil {
			return fmt.Errorf("let the process go on: %w", err)
		}
	}
	if err := patchClock(pid, ahead); err != nil {
		return err
	}
	return syscall.PtraceDetach(pid)
}

// runs reports whether a process runs a program.
func runs(pid int, program string) (bool, error) {
	now, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return false, err
	}
	want, err := os.Stat(program)
	return err == nil && os.SameFile(now, want), err
}

// awaitStop waits until a process that is traced has stopped.
func awaitStop(pid int) error {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("wait for the process: %w", err)
		case !status.Stopped():
			return fmt.Errorf("the process ended before its clock was set: status %#x", uint32(status))
		default:
			return nil
		}
	}
}

// patchClock replaces clock_gettime in the vDSO of a process that is stopped.
func patchClock(pid int, ahead time.Duration) error {
	seconds := int64(ahead / time.Second)
	if seconds < math.MinInt32 || seconds > math.MaxInt32 {
		return fmt.Errorf("a clock that is %s ahead is too far", ahead)
	}
	base, image, err := readVDSO(pid)
	if err != nil {
		return fmt.Errorf("read the vDSO: %w", err)
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return fmt.Errorf("read the vDSO: %w", err)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return fmt.Errorf("read the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name != clockFunction {
			continue
		}
		if code := clockCode(int32(seconds)); s.Size >= uint64(len(code)) {
			_, err := syscall.PtracePokeText(pid, base+uintptr(s.Value), code)
			return err
		}
		return fmt.Errorf("%s has %d bytes only", clockFunction, s.Size)
	}
	return fmt.Errorf("the vDSO has no %s", clockFunction)
}

// clockCode is clock_gettime(clock, at) for amd64 that asks the kernel and adds to the seconds of the wall clock.
func clockCode(seconds int32) []byte {
	code := []byte{
		0xb8, 0xe4, 0, 0, 0, // mov eax, 228 (clock_gettime)
		0x0f, 0x05, // syscall
		0x85, 0xff, // test edi, edi
		0x75, 0x07, // jne over the addition: the clock is not CLOCK_REALTIME
		0x48, 0x81, 0x06, // add qword [rsi], seconds
	}
	code = binary.LittleEndian.AppendUint32(code, uint32(seconds))
	return append(code, 0xc3) // ret
}

// readVDSO returns the vDSO of a process and where it is.
func readVDSO(pid int) (base uintptr, image []byte, err error) {
	aux, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		return 0, nil, err
	}
	for ; len(aux) >= 16; aux = aux[16:] {
		if binary.NativeEndian.Uint64(aux) == auxVDSO {
			base = uintptr(binary.NativeEndian.Uint64(aux[8:]))
		}
	}
	size, err := sizeOfVDSO(pid, base)
	if err != nil {
		return 0, nil, err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, nil, err
	}
	defer memory.Close()
	image = make([]byte, size)
	_, err = memory.ReadAt(image, int64(base))
	return base, image, err
}

// sizeOfVDSO returns how long the mapping is that begins at base.
func sizeOfVDSO(pid int, base uintptr) (uintptr, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x ", &from, &to); err == nil && from == base && to-from <= maxVDSO {
			return to - from, nil
		}
	}
	return 0, errors.New("the process has none")
}
