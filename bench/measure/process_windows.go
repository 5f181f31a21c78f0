package measure

import (
	"time"

	"golang.org/x/sys/windows"
)

// processTime returns the processor time that this process has used.
func processTime() (time.Duration, error) {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user); err != nil {
		return 0, err
	}
	// A Filetime that is a span rather than a moment counts units of 100 ns from 0.
	span := func(f windows.Filetime) time.Duration {
		return time.Duration(uint64(f.HighDateTime)<<32|uint64(f.LowDateTime)) * 100
	}
	return span(kernel) + span(user), nil
}
