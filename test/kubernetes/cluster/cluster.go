//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/test/kubernetes/machine"
)

// Options say which cluster is meant.
type Options struct {
	// Name tells clusters of one machine apart; empty: DefaultName.
	Name string
	// Log is told what is being done; nil: nobody is.
	Log io.Writer
	// Kubeconfig is the file of a cluster that exists, to be used instead of one of this machine.
	Kubeconfig string
}

// A Cluster is a running Kubernetes. Its methods may be called at once from several goroutines.
type Cluster struct {
	name    string
	cache   string
	home    home
	network network
	log     io.Writer
	// existing is set for a cluster that is not of this package's making: its kubeconfig.
	existing string
	// nodes are their names.
	nodes []string
	// programs is the folder of Kubernetes' programs; set before anyone else has the cluster.
	programs string

	mu    sync.Mutex // held while the state is read or changed, together with a lock on a file for other processes
	state *state     // guarded by mu
}

// ErrNotUp is returned for a cluster that does not run.
var ErrNotUp = errors.New("the cluster is not up")

const (
	// upTime bounds how long a cluster takes to be up, its programs' build aside.
	upTime = 3 * time.Minute
	// downTime bounds how long it takes to end everything.
	downTime = time.Minute
)

func newCluster(o Options) (*Cluster, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	cache, err := cacheFolder()
	if err != nil {
		return nil, err
	}
	h, err := homeOf(cache, o.Name)
	if err != nil {
		return nil, err
	}
	return &Cluster{
		name:     o.Name,
		cache:    cache,
		home:     h,
		network:  network{o.Name},
		log:      o.Log,
		existing: o.Kubeconfig,
		nodes:    nodeNames(),
	}, nil
}

// Up returns the cluster of that name, which is started if it doesn't run, or the one that exists. The first time on a machine
// builds Kubernetes, which takes minutes.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	c, err := newCluster(o)
	if err != nil {
		return nil, err
	}
	if c.existing != "" {
		return c, c.findNodes(ctx)
	}
	if err := Supported(); err != nil {
		return nil, err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := c.read(); err != nil {
		return nil, err
	}
	if c.running() {
		c.say("cluster %s is up already", c.name)
		return c, nil
	}
	if err := c.sweep(ctx); err != nil {
		return nil, fmt.Errorf("remove what a former run of cluster %s left: %w", c.name, err)
	}
	if err := c.create(ctx); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTime)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("start cluster %s: %w (its logs are in %s)", c.name, err, c.home.folder), c.stop(ctx))
	}
	return c, nil
}

// Open returns a cluster that is up already.
func Open(ctx context.Context, o Options) (*Cluster, error) {
	c, err := newCluster(o)
	if err != nil {
		return nil, err
	}
	if c.existing != "" {
		return c, c.findNodes(ctx)
	}
	if err := c.read(); err != nil {
		return nil, err
	}
	if !c.running() {
		return nil, fmt.Errorf("%w: start it with: go run ./test/kubernetes up --name %s", ErrNotUp, c.name)
	}
	return c, nil
}

// Down ends the cluster of that name, and what a crashed run of it has left. It is no error if there is nothing.
func Down(ctx context.Context, o Options) error {
	c, err := newCluster(o)
	if err != nil {
		return err
	}
	return c.Down(ctx)
}

// Down ends the cluster and removes everything of it from the machine; a cluster that existed before stays.
func (c *Cluster) Down(ctx context.Context) error {
	if c.existing != "" {
		return nil
	}
	return c.locked(ctx, func() error { return c.sweep(ctx) })
}

// lock keeps others, in this process and beside it, from changing the cluster.
func (c *Cluster) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.home.path(".."), 0o755); err != nil {
		return nil, err
	}
	release, err := lockFile(ctx, c.home.folder+".lock")
	if err != nil {
		return nil, fmt.Errorf("wait for who is busy with cluster %s: %w", c.name, err)
	}
	c.mu.Lock()
	return func() {
		c.mu.Unlock()
		if err := release(); err != nil {
			c.say("unlock cluster %s: %v", c.name, err)
		}
	}, nil
}

// read learns what runs when nobody else has the cluster yet.
func (c *Cluster) read() (err error) {
	if c.state, err = c.home.load(); err == nil && c.state != nil {
		c.programs = c.state.Programs
	}
	return err
}

// running says whether the cluster was up and its control plane still runs.
func (c *Cluster) running() bool { return c.state != nil && c.state.Ready && c.state.Plane.Alive() }

// create makes the cluster and waits until it can be used.
func (c *Cluster) create(ctx context.Context) error {
	programs, err := kubernetesSuite.build(ctx, c.cache, c.log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, upTime)
	defer cancel()
	begun := time.Now()
	if err := c.prepare(ctx, programs); err != nil {
		return err
	}
	c.step(begun, "keys, settings and networks are made")
	if err := c.startMachines(ctx); err != nil {
		return err
	}
	c.step(begun, "control plane and nodes are started")
	if err := c.awaitServer(ctx); err != nil {
		return err
	}
	c.step(begun, "the API server answers")
	if err := c.addOns(ctx); err != nil {
		return err
	}
	if err := c.awaitNodes(ctx); err != nil {
		return err
	}
	c.step(begun, "both nodes are ready")
	if err := c.awaitAddOns(ctx); err != nil {
		return err
	}
	c.step(begun, "DNS and service accounts are ready")
	c.state.Ready = true
	return c.home.save(c.state)
}

// prepare makes all that the cluster's processes find.
func (c *Cluster) prepare(ctx context.Context, programs string) error {
	c.programs = programs
	c.state = &state{Programs: programs, Machines: map[string]*machine.Processes{}, Cgroups: map[string]machine.Cgroups{}}
	for _, p := range places {
		groups, err := machine.FindCgroups("folkmoot-" + c.name + "/" + p.name)
		if err != nil {
			return err
		}
		c.state.Cgroups[p.name] = groups
	}
	if err := os.MkdirAll(c.home.folder, 0o755); err != nil {
		return err
	}
	if err := c.home.save(c.state); err != nil { // from here on a crash leaves what down removes
		return err
	}
	if err := buildStage(ctx, c.stage()); err != nil {
		return err
	}
	if err := writeImage(c.home.path("pause.tar"), pauseImage, programs+"/pause"); err != nil {
		return err
	}
	if err := c.network.make(); err != nil {
		return err
	}
	for _, p := range places {
		if err := errors.Join(c.home.configure(p), os.MkdirAll(c.home.volumes(p.name), 0o755)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) stage() string { return c.home.path("stage") }

// startMachines starts the control plane and the nodes, and writes the kubeconfig of their user.
func (c *Cluster) startMachines(ctx context.Context) error {
	now := time.Now()
	authority, err := c.home.credentials(now)
	if err != nil {
		return err
	}
	if c.state.Plane, err = machine.Start(ctx, c.stage(), c.home.plane(c.network, c.state.Programs)); err != nil {
		return err
	}
	if err := c.home.save(c.state); err != nil {
		return err
	}
	for _, p := range places {
		if err := c.powerOn(ctx, p); err != nil {
			return err
		}
	}
	user, err := authority.client(now, "admin", "system:masters")
	if err != nil {
		return err
	}
	return replaceFile(c.home.kubeconfig(), authority.kubeconfig("folkmoot-"+c.name, c.state.Plane.Forward, user))
}

// powerOn starts a node's computer.
func (c *Cluster) powerOn(ctx context.Context, p place) error {
	groups := c.state.Cgroups[p.name]
	if err := groups.Make(); err != nil {
		return fmt.Errorf("make the control groups of %s: %w", p.name, err)
	}
	if err := c.network.attach(p); err != nil {
		return err
	}
	if err := c.network.cut(c.state.Cut); err != nil {
		return err
	}
	processes, err := machine.Start(ctx, c.stage(), c.home.node(c.network, p, c.state.Programs, groups))
	if err != nil {
		return err
	}
	c.state.Machines[p.name] = processes
	return c.home.save(c.state)
}

// powerOff pulls the plug of a node's computer; its disk stays.
func (c *Cluster) powerOff(ctx context.Context, p place) error {
	if err := c.state.Machines[p.name].Kill(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.network.detach(p), c.state.Cgroups[p.name].Remove()); err != nil {
		return err
	}
	c.state.Machines[p.name] = nil
	return c.home.save(c.state)
}

// sweep ends and removes everything of the cluster.
func (c *Cluster) sweep(ctx context.Context) error {
	if err := c.stop(ctx); err != nil {
		return err
	}
	return os.RemoveAll(c.home.folder)
}

// stop ends everything of the cluster that runs, and leaves its files.
func (c *Cluster) stop(ctx context.Context) error {
	var errs []error
	if c.state != nil {
		for _, processes := range c.state.Machines {
			errs = append(errs, processes.Kill(ctx))
		}
		errs = append(errs, c.state.Plane.Kill(ctx))
	}
	errs = append(errs, c.network.remove()) // with processes that nobody wrote down
	if c.state != nil {
		for _, groups := range c.state.Cgroups {
			errs = append(errs, groups.Remove())
		}
		for _, groups := range c.state.Cgroups { // what was the cluster's, now empty
			errs = append(errs, groups.Outer().Remove())
		}
	}
	return errors.Join(errs...)
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.name }

// Kubeconfig returns the file by which programs of this machine reach the cluster.
func (c *Cluster) Kubeconfig() string {
	if c.existing != "" {
		return c.existing
	}
	return c.home.kubeconfig()
}

// Router returns the network namespace through which all that leaves the cluster goes; empty: the cluster is not of this package's making.
func (c *Cluster) Router() string {
	if c.existing != "" {
		return ""
	}
	return c.network.lan()
}

// Nodes returns the names of the nodes.
func (c *Cluster) Nodes() []string {
	return slices.Clone(c.nodes)
}

func (c *Cluster) say(format string, args ...any) { fmt.Fprintf(c.log, format+"\n", args...) }

func (c *Cluster) step(begun time.Time, text string) {
	c.say("%6.1f s  %s", time.Since(begun).Seconds(), text)
}
