package machine

import (
	"net"
	"syscall"
)

// UDPBuffer returns how many bytes a UDP socket's buffer for what it receives has when it asks for want, and insists where the process may, as QUIC does; 0: that is not known.
func UDPBuffer(want int) int {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0
	}
	defer conn.Close()
	_ = conn.SetReadBuffer(want)
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	size := 0
	_ = raw.Control(func(fd uintptr) {
		// Beyond net.core.rmem_max, for those with CAP_NET_ADMIN (socket(7)).
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, want)
		size, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
	})
	return size / 2 // the kernel doubles it for its own use (socket(7))
}
