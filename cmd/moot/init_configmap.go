package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/kubernetes"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/pause"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
)

const (
	// configMapPause lies between two looks for a ConfigMap that is not there yet.
	configMapPause = time.Second
	// founderOrdinal is the number of the pod that founds a network.
	founderOrdinal = 0
)

// enterByConfigMap makes the home a node of the network whose genesis is in a ConfigMap.
func (a *app) enterByConfigMap(ctx context.Context, o initOptions, before node.HomeInfo) (node.HomeInfo, error) {
	if err := kubernetes.CheckName(o.configMap); err != nil {
		return node.HomeInfo{}, err
	}
	cluster, err := kubernetes.InCluster(a.lookupEnv, a.serviceAccount)
	if err != nil {
		return node.HomeInfo{}, fmt.Errorf("option --genesis-configmap: %w", err)
	}
	var pod *kubernetes.Pod
	if o.validator {
		if pod, err = kubernetes.Here(a.lookupEnv, a.serviceAccount); err != nil {
			return node.HomeInfo{}, fmt.Errorf("option --validator: %w", err)
		}
	}
	if before.Genesis != nil {
		if err := a.compareGenesis(ctx, cluster, pod, o.configMap, before.Genesis); err != nil {
			return before, err
		}
		return before, a.becomeMember(ctx, before.Genesis, o)
	}
	g, err := a.awaitGenesis(ctx, cluster, pod, o)
	if err != nil {
		return node.HomeInfo{}, err
	}
	info, err := a.join(g, "ConfigMap "+o.configMap, o, before)
	if err != nil {
		return info, err
	}
	return info, a.becomeMember(ctx, g, o)
}

// awaitGenesis returns the genesis in the ConfigMap when it is there. The first pod of the validators makes it where it is not, once all others have said that they have no home: a ConfigMap that is gone is no reason for a second network.
func (a *app) awaitGenesis(ctx context.Context, cluster *kubernetes.Cluster, pod *kubernetes.Pod, o initOptions) (*ledger.Genesis, error) {
	founder := pod != nil && pod.Ordinal() == founderOrdinal
	var told string
	tell := func(text string) {
		if text != told {
			a.notef("%s", text)
			told = text
		}
	}
	stop := func() {}
	defer func() { stop() }()
	for {
		g, err := genesisOf(ctx, cluster, o.configMap)
		if fault.KindOf(err) != fault.NotFound {
			return g, err
		}
		waits := fmt.Sprintf("waiting for ConfigMap %s, with which the network is founded", o.configMap)
		switch {
		case founder:
			if waits, err = foundingWaits(ctx, pod, o.configMap); err != nil {
				return nil, err
			}
			if waits == "" {
				if err := a.createGenesis(ctx, pod, o); err != nil && fault.KindOf(err) != fault.Conflict {
					return nil, err
				}
				continue // whoever created it, what is there counts
			}
		case pod != nil && told == "": // so that the first pod may found
			if stop, err = pod.SayHomeless(ctx); err != nil {
				stop = func() {}
				return nil, err
			}
		}
		tell(waits)
		if pause.For(ctx, configMapPause) != nil {
			return nil, ctx.Err()
		}
	}
}

// foundingWaits says why no network is to be founded yet; empty: nothing is known against it.
func foundingWaits(ctx context.Context, pod *kubernetes.Pod, configMap string) (string, error) {
	others, err := pod.AskOthers(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("look for other validators before a network is founded: %w", err)
	case others.Running != "":
		return fmt.Sprintf("ConfigMap %s is gone, and %s runs, which has the network's genesis: no other network is founded; waiting for the ConfigMap, which a validator puts back when its pod starts (kubectl delete pod)", configMap, others.Running), nil
	case others.Silent != "":
		return fmt.Sprintf("there is no ConfigMap %s, and %s has not said that it has no network either: none is founded before all validators have said so; where it can't start, have fewer (kubectl scale statefulset)", configMap, others.Silent), nil
	}
	return "", nil
}

func genesisOf(ctx context.Context, cluster *kubernetes.Cluster, name string) (*ledger.Genesis, error) {
	document, err := cluster.Genesis(ctx, name)
	if err != nil {
		return nil, err
	}
	g, err := ledger.ParseGenesis(document)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s: %w", name, err)
	}
	return g, nil
}

// createGenesis founds a network with this pod as its one validator, and its one member where it is for members only. The keys are on the disk before anybody knows of the network.
func (a *app) createGenesis(ctx context.Context, pod *kubernetes.Pod, o initOptions) error {
	own, err := ownFounder(a.home)
	if err != nil {
		return err
	}
	var members []ledger.GenesisMember
	if o.membersSecret != "" {
		key, err := memberKey(own.Member)
		if err != nil {
			return err
		}
		members = append(members, ledger.GenesisMember{Key: key, Name: machineName()})
	}
	g, err := node.NewGenesis(o.network, []ledger.GenesisValidator{own.GenesisValidator}, members...)
	if err != nil {
		return err
	}
	return writeGenesis(ctx, pod, o.configMap, g)
}

func writeGenesis(ctx context.Context, pod *kubernetes.Pod, name string, g *ledger.Genesis) error {
	document, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err
	}
	return pod.CreateGenesis(ctx, name, append(document, '\n'))
}

// compareGenesis makes sure that a home that is there is of the ConfigMap's network, whose ledger may have gone on as another one since. Where the ConfigMap is gone a validator puts it back: without it the next
// pod 0 without a volume would found a second network. Where it can't be asked for, the pod starts all the same.
func (a *app) compareGenesis(ctx context.Context, cluster *kubernetes.Cluster, pod *kubernetes.Pod, name string, own *ledger.Genesis) error {
	g, err := genesisOf(ctx, cluster, name)
	if fault.KindOf(err) == fault.NotFound && pod != nil {
		a.notef("ConfigMap %s is gone: putting it back as it was", name)
		if err = writeGenesis(ctx, pod, name, own); err == nil {
			return nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		a.notef("going on with the genesis in %s: %s", a.home, oneLine(err.Error()))
		return nil
	case own.Ancestor(g.ID()) != nil: // the home's ledger goes on from the one in the ConfigMap, which nobody can change
		return nil
	case g.ID() != own.ID():
		return fault.New(fault.Conflict, "home %s is a node of another network than the one in ConfigMap %s: give it the ConfigMap of its network back, or another home", a.home, name)
	}
	return nil
}
