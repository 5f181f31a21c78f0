package machine

import (
	"net"
	"syscall"
)

// UDPBuffer returns how many bytes a UDP socket's buffer for what it receives has, at most, when it asks for want; 0: that is not known.
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
		size, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
	})
	return size / 2 // the kernel doubles it for its own use (socket(7))
}
