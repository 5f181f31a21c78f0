// Command embed runs a node inside a program of its own, puts a record and gets it back.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/swarm"
)

func main() {
	home, err := os.MkdirTemp("", "embed")
	check(err)
	defer os.RemoveAll(home)
	n, err := node.New(node.Config{Home: home, Network: "example", Listen: swarm.DefaultListen(0)})
	check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	_, err = n.Records().Put(ctx, "greeting", []byte("hello"), records.PutOptions{})
	check(err)
	r, err := n.Records().Get(ctx, "greeting", records.GetOptions{})
	check(err)
	fmt.Printf("%s = %s\n", r.Key, r.Value)
	stop()
	check(<-done)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
