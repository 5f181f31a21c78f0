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
		return before, a.compareGenesis(ctx, cluster, pod, o.configMap, before.Genesis)
	}
	g, err := a.awaitGenesis(ctx, cluster, pod, o)
	if err != nil {
		return node.HomeInfo{}, err
	}
	return a.join(g, "ConfigMap "+o.configMap, o, before)
}

// awaitGenesis returns the genesis in the ConfigMap when it is there. The first pod of the validators makes it where it is not.
func (a *app) awaitGenesis(ctx context.Context, cluster *kubernetes.Cluster, pod *kubernetes.Pod, o initOptions) (*ledger.Genesis, error) {
	for told := false; ; {
		g, err := genesisOf(ctx, cluster, o.configMap)
		if fault.KindOf(err) != fault.NotFound {
			return g, err
		}
		who := ""
		if pod != nil && pod.Ordinal() == founderOrdinal {
			// A ConfigMap that is gone is no reason for a second network.
			if who, err = pod.OtherRuns(ctx); err != nil {
				return nil, fmt.Errorf("look for other validators before a network is founded: %w", err)
			}
		}
		if pod != nil && pod.Ordinal() == founderOrdinal && who == "" {
			err := a.createGenesis(ctx, pod, o)
			if err != nil && fault.KindOf(err) != fault.Conflict {
				return nil, err
			}
			continue // whoever created it, what is there counts
		}
		if !told && who != "" {
			a.notef("ConfigMap %s is gone, and %s runs, which has the network's genesis: no other network is founded; waiting for the ConfigMap, which a validator puts back when its pod starts (kubectl delete pod)", o.configMap, who)
			told = true
		}
		if !told {
			a.notef("waiting for ConfigMap %s, with which the network is founded", o.configMap)
			told = true
		}
		if pause.For(ctx, configMapPause) != nil {
			return nil, ctx.Err()
		}
	}
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

// createGenesis founds a network with this pod as its one validator. The keys are on the disk before anybody knows of the network.
func (a *app) createGenesis(ctx context.Context, pod *kubernetes.Pod, o initOptions) error {
	own, err := ownValidator(a.home)
	if err != nil {
		return err
	}
	g, err := node.NewGenesis(o.network, []ledger.GenesisValidator{own})
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
