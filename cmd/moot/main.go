// Moot is a peer-to-peer node: peers find one another and keep records together, without a server. See
// "moot help" for its commands.
package main

import "os"

func main() {
	os.Exit(newApp().run(os.Args[1:]))
}
