// Trees measures the ledger's tree beside pokt-network/smt and cosmos/iavl: blocks of random updates on pebble, one tree after the other in the same
// run. It is a module of its own, so that what it compares with stays out of the program's.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/folkmoot/folkmoot/bench/measure"
)

func main() {
	cfg := config{}
	flag.IntVar(&cfg.block, "block", 4000, "updates in a block")
	flag.IntVar(&cfg.blocks, "blocks", 50, "blocks that are measured")
	flag.IntVar(&cfg.warm, "warm", 10, "blocks before, which are not")
	flag.IntVar(&cfg.cacheMB, "cache", 64, "MiB of pages that our tree keeps in memory")
	entries := flag.String("entries", "100000,1000000", "numbers of entries, with commas between")
	names := flag.String("trees", strings.Join(allNames(), ","), "trees to measure, with commas between")
	dir := flag.String("dir", os.TempDir(), "where the stores are put while it runs")
	flag.StringVar(&cfg.profile, "cpuprofile", "", "file for a profile of the measured blocks of the last tree")
	flag.Parse()
	if err := run(cfg, *entries, *names, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench/trees:", err)
		os.Exit(1)
	}
}

func run(cfg config, entries, names, dir string) error {
	table := measure.NewTable("tree", "entries", "fill, CPU", "CPU per update", "wall per block", "given to pebble per update", "written per update",
		"proof", "prove, CPU", "check, CPU", "heap")
	for _, field := range strings.Split(entries, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < cfg.block {
			return fmt.Errorf("entries: %q is not a number of at least a block's updates", field)
		}
		cfg.entries = n
		for _, name := range strings.Split(names, ",") {
			r, err := measureIn(dir, name, cfg)
			if err != nil {
				return fmt.Errorf("%s with %d entries: %w", name, n, err)
			}
			fmt.Fprintf(os.Stderr, "%s, %d entries: %v per update\n", name, n, r.update)
			table.Add(r.row(name, n)...)
		}
	}
	fmt.Printf("%d blocks of %d random updates after %d that are not counted; keys of %d bytes, values of %d; %s\n\n",
		cfg.blocks, cfg.block, cfg.warm, keyBytes, valueBytes, measure.Conditions())
	return table.Write(os.Stdout)
}

// measureIn measures the tree of the given name in a new folder below dir, which it removes again.
func measureIn(dir, name string, cfg config) (r result, err error) {
	open := subjects[name]
	if open == nil {
		return r, fmt.Errorf("there is no such tree; there are %s", strings.Join(allNames(), ", "))
	}
	folder, err := os.MkdirTemp(dir, "trees-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	db, err := openStore(filepath.Join(folder, "db"))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return measureOne(open(db, cfg), db, cfg)
}
