// Package provisioner makes volumes for claims: a folder of the node that the claim's first pod was scheduled to. It runs where
// it sees the disks of all nodes.
package provisioner

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	// hostname is the label by which a volume says which node it is on.
	hostname = "kubernetes.io/hostname"
	// retryLimit bounds the wait between two tries of a volume that could not be made or removed.
	retryLimit = 10 * time.Second
)

// Local makes and removes volumes.
type Local struct {
	// Path is the folder of the volumes as a node sees it.
	Path string
	// Folders are the same folder as this process sees it, by node.
	Folders map[string]string
}

// Main runs the provisioner until it is told to stop, and returns its exit status.
func Main(args []string) int {
	flags := flag.NewFlagSet("provisioner", flag.ContinueOnError)
	name := flags.String("name", "", "`NAME` of the provisioner that storage classes give")
	config := flags.String("kubeconfig", "", "`FILE` that says how to reach the API server")
	local := Local{Folders: map[string]string{}}
	flags.StringVar(&local.Path, "path", "", "`FOLDER` of the volumes as the nodes see it")
	flags.Func("folder", "`NODE=FOLDER`: where a node's folder of volumes is seen from here (repeatable)", func(s string) error {
		node, folder, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("want NODE=FOLDER")
		}
		local.Folders[node] = folder
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := local.run(ctx, *name, *config); err != nil {
		fmt.Fprintln(os.Stderr, "provisioner:", err)
		return 1
	}
	return 0
}

func (l *Local) run(ctx context.Context, name, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	controller.NewProvisionController(ctx, client, name, l,
		controller.LeaderElection(false),
		controller.RetryIntervalMax(retryLimit),
		controller.FailedProvisionThreshold(0),
		controller.FailedDeleteThreshold(0),
	).Run(ctx)
	return nil
}

// Provision makes the folder of a volume and returns its description.
func (l *Local) Provision(_ context.Context, options controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	node := options.SelectedNodeName
	if node == "" {
		return nil, controller.ProvisioningFinished, errors.New("no node is selected: the storage class needs volumeBindingMode WaitForFirstConsumer")
	}
	folder, err := l.folder(node, options.PVName)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// As on a fresh disk the volume is root's; a pod's fsGroup opens it to others.
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			VolumeMode:                    options.PVC.Spec.VolumeMode,
			MountOptions:                  options.StorageClass.MountOptions,
			Capacity:                      core.ResourceList{core.ResourceStorage: options.PVC.Spec.Resources.Requests[core.ResourceStorage]},
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: filepath.Join(l.Path, options.PVName)}},
			NodeAffinity:                  on(node),
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes the folder of a volume.
func (l *Local) Delete(_ context.Context, volume *core.PersistentVolume) error {
	node, ok := nodeOf(volume)
	if !ok {
		return fmt.Errorf("volume %s does not say which node it is on", volume.Name)
	}
	folder, err := l.folder(node, volume.Name)
	if err != nil {
		return err
	}
	return os.RemoveAll(folder)
}

// folder returns where the node's volume is seen from here.
func (l *Local) folder(node, volume string) (string, error) {
	folder, ok := l.Folders[node]
	if !ok {
		return "", fmt.Errorf("there is no node %q", node)
	}
	if volume == "" || volume == "." || volume == ".." || volume != filepath.Base(volume) {
		return "", fmt.Errorf("%q does not name a volume", volume)
	}
	return filepath.Join(folder, volume), nil
}

func on(node string) *core.VolumeNodeAffinity {
	return &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
		MatchExpressions: []core.NodeSelectorRequirement{{Key: hostname, Operator: core.NodeSelectorOpIn, Values: []string{node}}},
	}}}}
}

// nodeOf is the reverse of on.
func nodeOf(volume *core.PersistentVolume) (node string, ok bool) {
	affinity := volume.Spec.NodeAffinity
	if affinity == nil || affinity.Required == nil {
		return "", false
	}
	for _, term := range affinity.Required.NodeSelectorTerms {
		for _, match := range term.MatchExpressions {
			if match.Key == hostname && len(match.Values) == 1 {
				return match.Values[0], true
			}
		}
	}
	return "", false
}
