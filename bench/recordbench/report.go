package recordbench

import (
	"context"
	"fmt"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
)

// Report is everything that was measured.
type Report struct {
	Conditions  string        `json:"conditions"`
	Began       time.Time     `json:"began"`
	Duration    string        `json:"figure_duration"`
	Rounds      int           `json:"rounds"`
	Copies      int           `json:"copies"`
	EtcdVersion string        `json:"etcd_version,omitempty"`
	Comparisons []*Comparison `json:"comparisons"`
	Scale       []Scaled      `json:"scale"`
	Losses      []Loss        `json:"losses"`
	LossRecords int           `json:"loss_records"`
	Full        *FullCount    `json:"full_count,omitempty"`
	// Notes say what was left out and what failed.
	Notes []string `json:"notes"`
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// noteFailures says which operations failed under a load.
func (r *Report) noteFailures(system string, at point, result measure.Result) {
	if result.Failure != nil {
		r.note("%s: %s of %d bytes by %d callers: %d of %d failed, such as: %v", system, at.operation, at.size, at.callers, result.Failures, result.Operations, result.Failure)
	}
}

// Run measures. When it fails, the report holds what had been measured by then.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Report{
		Conditions: measure.Conditions(), Began: time.Now().UTC().Truncate(time.Second),
		Duration: cfg.Duration.String(), Rounds: cfg.Rounds, Copies: cfg.Copies, Comparisons: []*Comparison{}, Scale: []Scaled{}, Losses: []Loss{}, LossRecords: cfg.LossRecords, Notes: []string{},
	}
	steps := []func(context.Context, *Report) error{cfg.compareMany, cfg.compareThree}
	if cfg.wants(Records) {
		// Before anything else, as memory is known best in a young process.
		steps = append([]func(context.Context, *Report) error{cfg.scale}, append(steps, cfg.repair)...)
	}
	for _, step := range steps {
		if err := step(ctx, r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// compareMany compares in a network of many peers in this process.
func (c *Config) compareMany(ctx context.Context, r *Report) error {
	systems := inOneProcess(c)
	if len(systems) == 0 {
		return nil
	}
	return c.compare(ctx, c.Peers, systems, stockKadDHT, r)
}

// compareThree compares in a network of three peers.
func (c *Config) compareThree(ctx context.Context, r *Report) (err error) {
	if c.wants(Etcd) {
		if r.EtcdVersion, err = etcdVersion(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.note("not measured beside etcd: %v", err)
		}
	}
	systems := ofThree(c, r.EtcdVersion != "")
	if len(systems) == 0 {
		return nil
	}
	return c.compare(ctx, smallPeers, systems, stockEtcd, r)
}
