// Command kubernetes is one program with all of a small cluster in it: etcd, the control plane, what runs on a node, CoreDNS,
// a volume provisioner and kubectl. Which of them it is comes from the name it is started by, or else from its first argument.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata"

	"github.com/coredns/coredns/coremain"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"github.com/folkmoot/folkmoot/test/kubernetes/build/cluster/provisioner"
)

const usage = "usage: kubernetes etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kube-proxy|coredns|provisioner|kubectl ..."

func main() {
	if !run(filepath.Base(os.Args[0])) {
		if len(os.Args) > 1 {
			os.Args = os.Args[1:]
			if run(os.Args[0]) {
				return
			}
		}
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}

// run is the named program, with os.Args as its command line; it returns false if there is none of that name, and otherwise
// when the program has ended well.
func run(name string) bool {
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		end(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		end(manager.NewControllerManagerCommand())
	case "kube-scheduler":
		end(scheduler.NewSchedulerCommand())
	case "kubelet":
		end(kubelet.NewKubeletCommand(context.Background()))
	case "kube-proxy":
		end(proxy.NewProxyCommand())
	case "kubectl":
		end(kubectl.NewDefaultKubectlCommand())
	case "coredns":
		coremain.Run()
	case "provisioner":
		os.Exit(provisioner.Main(os.Args[1:]))
	default:
		return false
	}
	return true
}

// end runs the command and exits with its status.
func end(command *cobra.Command) { os.Exit(cli.Run(command)) }
