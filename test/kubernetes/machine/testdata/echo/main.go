// Command echo is a server at the address that is its argument. It sends back what it gets, and exits when that is "end".
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp4", os.Args[1])
	for err == nil {
		var conn net.Conn
		if conn, err = listener.Accept(); err == nil {
			go echo(conn)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func echo(conn net.Conn) {
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err != nil {
		return
	}
	if string(text) == "end" {
		os.Exit(3)
	}
	conn.Write(text)
}
