//go:build !linux

package machine

// UDPBuffer is not known on this system.
func UDPBuffer(int) int { return 0 }
