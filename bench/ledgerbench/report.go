package ledgerbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
)

// Report is everything that was measured.
type Report struct {
	Conditions string    `json:"conditions"`
	Began      time.Time `json:"began"`
	Duration   string    `json:"figure_duration"`
	Callers    int       `json:"callers"`
	Batchers   int       `json:"batchers"`
	Batch      int       `json:"batch"`
	// Networks are in the order of their measurement; the first is the one where everything is measured.
	Networks []*Network `json:"networks"`
	// KVStore is CometBFT with its kvstore, with as many validators as the first network and the load LoadSingle.
	KVStore *Figures `json:"kvstore,omitempty"`
	// Notes say what was left out and what failed.
	Notes []string `json:"notes"`
}

// Network is what was measured of one network.
type Network struct {
	Validators int       `json:"validators"`
	Accounts   int       `json:"accounts"`
	Loads      []Figures `json:"loads"`
	Disk       *Disk     `json:"disk,omitempty"`
	CatchUp    *CatchUp  `json:"catch_up,omitempty"`
	// TransferBytes is the size of an encoded transfer.
	TransferBytes int `json:"transfer_bytes"`
}

// load returns the figures of a load, or nil.
func (n *Network) load(name string) *Figures {
	for i := range n.Loads {
		if n.Loads[i].Load == name {
			return &n.Loads[i]
		}
	}
	return nil
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Run measures. When it fails, the report holds what had been measured by then.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Profile != "" {
		if err := os.MkdirAll(cfg.Profile, 0o755); err != nil {
			return nil, fmt.Errorf("make the folder for profiles: %w", err)
		}
	}
	r := &Report{
		Conditions: measure.Conditions(), Began: time.Now().UTC().Truncate(time.Second), Duration: cfg.Duration.String(), Callers: cfg.Callers, Batchers: cfg.Batchers, Batch: cfg.Batch,
		Networks: []*Network{}, Notes: []string{},
	}
	if err := cfg.measure(ctx, r, cfg.Validators, cfg.Accounts[0], true); err != nil {
		return r, err
	}
	if cfg.KVStore {
		if err := cfg.kvstore(ctx, r); err != nil {
			return r, err
		}
	}
	for _, accounts := range cfg.Accounts[1:] {
		if err := cfg.measure(ctx, r, cfg.Validators, accounts, false); err != nil {
			return r, err
		}
	}
	for _, validators := range cfg.Scale {
		if err := cfg.measure(ctx, r, validators, cfg.Accounts[0], false); err != nil {
			return r, err
		}
	}
	return r, nil
}

// measure measures a network, all of it or only its rates.
func (c *Config) measure(ctx context.Context, r *Report, validators, accounts int, all bool) (err error) {
	what := fmt.Sprintf("%s, %s", plural(validators, "validator"), plural(accounts, "account"))
	c.progress(what + ": start")
	payers, err := newPayers(ctx, accounts)
	if err != nil {
		return err
	}
	n, err := openNetwork(ctx, c, validators, payers.mint.id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	c.progress(what + ": give each account money")
	if err := payers.issue(ctx, n); err != nil {
		return fmt.Errorf("give %d accounts money: %w", accounts, err)
	}
	one, err := payers.transfer()
	if err != nil {
		return err
	}
	figures := &Network{Validators: validators, Accounts: accounts, Loads: []Figures{}, TransferBytes: len(one)}
	r.Networks = append(r.Networks, figures)
	s := &session{cfg: c, network: n, voters: validators, payers: payers, report: r}
	if err := s.measure(ctx, figures, what, all); err != nil {
		return err
	}
	return n.agree(ctx)
}

func (s *session) measure(ctx context.Context, to *Network, what string, all bool) error {
	folder := filepath.Join(s.network.home(0), ledgerFolder)
	before, err := sizes(folder)
	if err != nil {
		return err
	}
	if err := s.loads(ctx, to, what, all); err != nil || !all {
		return err
	}
	after, err := sizes(folder)
	if err != nil {
		return err
	}
	to.Disk = grown(before, after, s.transfers)
	if s.cfg.CatchUp == 0 {
		return nil
	}
	s.cfg.progress(what + ": a new node catches up")
	to.CatchUp, err = s.catchUp(ctx)
	return err
}

func (s *session) loads(ctx context.Context, to *Network, what string, all bool) error {
	add := func(name string, f func() (Figures, error)) error {
		s.cfg.progress(what + ": " + name)
		figures, err := f()
		if err == nil {
			to.Loads = append(to.Loads, figures)
		}
		return err
	}
	if err := add(LoadSingle, func() (Figures, error) { return s.single(ctx, LoadSingle, s.cfg.Callers, 0) }); err != nil {
		return err
	}
	if rate := to.Loads[0].Rate / 2; all && rate > 0 {
		if err := add(LoadHalf, func() (Figures, error) { return s.single(ctx, LoadHalf, s.cfg.Callers, rate) }); err != nil {
			return err
		}
		if err := add(LoadLight, func() (Figures, error) { return s.single(ctx, LoadLight, lightCallers, 0) }); err != nil {
			return err
		}
	}
	return add(LoadBatch, func() (Figures, error) { return s.batches(ctx) })
}

// kvstore measures CometBFT with its kvstore.
func (c *Config) kvstore(ctx context.Context, r *Report) (err error) {
	c.progress(fmt.Sprintf("CometBFT with its kvstore, %s", plural(c.Validators, "validator")))
	n, err := openKVStore(ctx, c, r.Networks[0].TransferBytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	f, err := n.measure(ctx, c)
	if err == nil {
		r.KVStore = &f
	}
	return err
}
