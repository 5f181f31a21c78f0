// Command client is a program that uses a node's HTTP API through the Go client: it puts and gets a record, watches others, and pays on the ledger.
//
// The node is that of MOOT_API and MOOT_TOKEN. Exit codes are those of moot.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	defaultAPI = "http://127.0.0.1:7070"
	// patience bounds the whole run.
	patience = time.Minute
)

// settings are what the program is told.
type settings struct {
	api, token string
	payment    payment
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := parse(os.Args[1:])
	if err == nil {
		err = run(ctx, s, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
	}
	os.Exit(fault.ExitCode(err))
}

// parse reads options and the environment. Without --key nothing is paid.
func parse(args []string) (settings, error) {
	s := settings{api: os.Getenv("MOOT_API"), token: os.Getenv("MOOT_TOKEN")}
	if s.api == "" {
		s.api = defaultAPI
	}
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	flags.StringVar(&s.payment.keyFile, "key", "", "file with the key of the account that pays, as moot ledger account new makes it")
	flags.StringVar(&s.payment.to, "to", "", "account that is paid")
	flags.StringVar(&s.payment.asset, "asset", "", "CODE@ISSUER")
	flags.StringVar(&s.payment.amount, "amount", "", "such as 12.50")
	flags.StringVar(&s.payment.receiptFile, "receipt", "receipt.json", "file for the receipt")
	if err := flags.Parse(args); err != nil {
		return s, fault.As(fault.Invalid, err)
	}
	if flags.NArg() > 0 {
		return s, fault.New(fault.Invalid, "unexpected %q", flags.Arg(0))
	}
	p := s.payment
	if p.keyFile != "" && (p.to == "" || p.asset == "" || p.amount == "") {
		return s, fault.New(fault.Invalid, "--key needs --to, --asset and --amount")
	}
	return s, nil
}

func run(ctx context.Context, s settings, out io.Writer) (err error) {
	c, err := client.New(s.api, client.Options{Token: s.token})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := keep(ctx, c, out); err != nil {
		return err
	}
	if err := watch(ctx, c, out); err != nil {
		return err
	}
	if s.payment.keyFile == "" {
		return nil
	}
	return pay(ctx, c, s.payment, out)
}
