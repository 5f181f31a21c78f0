//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"

	"github.com/folkmoot/folkmoot/test/kubernetes/cluster"
)

// A command is what this program can be told to do.
type command struct {
	name, usage, about, more string
	// min and max are how many arguments it takes.
	min, max int
	// passes is set when all that follows its name is for another program.
	passes bool
	run    func(context.Context, *invocation) error
}

const unlimited = 1 << 20

var commands = []command{
	{name: "up", about: "start the cluster, and build Kubernetes first if that was never done here", run: up,
		more: "Prints what is done with its times, and how to go on. A cluster that is up already stays as it is."},
	{name: "down", about: "end the cluster and remove everything of it", run: down,
		more: "Removes what a crashed run has left, too. The programs that were built stay."},
	{name: "status", about: "say what runs", run: status},
	{name: "load", usage: "IMAGE.tar...", about: "give image archives to every node", min: 1, max: unlimited, run: load,
		more: "Reads OCI image layouts and what \"docker save\" writes. With --kubeconfig it knows clusters of kind and minikube."},
	{name: "kubectl", usage: "...", about: "run kubectl on the cluster", passes: true, run: kubectl},
	{name: "helm", usage: "...", about: "run helm on the cluster", passes: true, run: helm},
	{name: "exec", usage: "PROGRAM...", about: "run a program in the cluster's network, where pods and Services can be reached", passes: true, run: execute},
	{name: "kubeconfig", about: "print the kubeconfig", run: kubeconfig},
	{name: "cut", about: "cut the link between the nodes; each still reaches the control plane", run: cut},
	{name: "heal", about: "heal the link between the nodes", run: heal},
	{name: "kill-node", usage: "NODE", about: "pull the plug of a node", min: 1, max: 1, run: killNode},
	{name: "start-node", usage: "NODE", about: "start a node that was killed", min: 1, max: 1, run: startNode},
	{name: "build", about: "build Kubernetes and helm, so that the first up is quick", run: build},
	{name: "supported", about: "say whether this machine can run a cluster, and what it lacks", run: supported},
}

func names() []string {
	var all []string
	for _, c := range commands {
		all = append(all, c.name)
	}
	return all
}

const options = `
Options:
  --name NAME        which cluster, when there are several side by side (default "` + cluster.DefaultName + `")
  --kubeconfig FILE  use a cluster that exists instead
  --json             print JSON (up, status)
  --help             explain a command
`

func printHelp(w io.Writer) {
	fmt.Fprint(w, "Run a real Kubernetes of two nodes on this machine.\n\nUsage: go run ./test/kubernetes [OPTIONS] COMMAND\n\nCommands:\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands {
		fmt.Fprintf(table, "  %s\t%s\n", strings.TrimSpace(c.name+" "+c.usage), c.about)
	}
	table.Flush()
	fmt.Fprint(w, options)
	fmt.Fprint(w, "\nFor kubectl, helm and exec they come before the command; what follows it is for that program.\n")
}

func (c command) printHelp(w io.Writer) {
	fmt.Fprintf(w, "Usage: go run ./test/kubernetes %s\n\n%s.\n", strings.TrimSpace(c.name+" [OPTIONS] "+c.usage), strings.ToUpper(c.about[:1])+c.about[1:])
	if c.more != "" {
		fmt.Fprintln(w, c.more)
	}
	fmt.Fprint(w, options)
}

func up(ctx context.Context, in *invocation) error {
	c, err := cluster.Up(ctx, in.options)
	if err != nil {
		return err
	}
	if in.json {
		return status(ctx, in)
	}
	fmt.Fprintf(in.stdout, `
Use it with kubectl and helm of your own:
  export KUBECONFIG=%s
or with those that were built with it:
  go run ./test/kubernetes%[2]s kubectl get pods -A
Reach pods, Services and nodes by their addresses:
  go run ./test/kubernetes%[2]s exec curl http://ADDRESS
End it:
  go run ./test/kubernetes%[2]s down
`, c.Kubeconfig(), in.named())
	return nil
}

// named is the option that names the cluster, where it is needed.
func (in *invocation) named() string {
	if in.options.Name == "" || in.options.Name == cluster.DefaultName {
		return ""
	}
	return " --name " + in.options.Name
}

func down(ctx context.Context, in *invocation) error {
	if err := cluster.Down(ctx, in.options); err != nil {
		return err
	}
	if in.options.Kubeconfig != "" {
		fmt.Fprintln(in.stderr, "a cluster that existed before is left alone")
	} else {
		fmt.Fprintln(in.stderr, "nothing of the cluster is left")
	}
	return nil
}

func status(ctx context.Context, in *invocation) error {
	s, err := cluster.StatusOf(ctx, in.options)
	if err != nil {
		return err
	}
	if in.json {
		encoder := json.NewEncoder(in.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(s)
	}
	if !s.Running {
		fmt.Fprintf(in.stdout, "cluster %s is not up\n", s.Name)
		return nil
	}
	fmt.Fprintf(in.stdout, "cluster %s runs Kubernetes %s", s.Name, s.Kubernetes)
	if s.Link != "" {
		fmt.Fprintf(in.stdout, "; the link between the nodes is %s", s.Link)
	}
	fmt.Fprintln(in.stdout)
	table := tabwriter.NewWriter(in.stdout, 0, 0, 2, ' ', 0)
	for _, n := range s.Nodes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", n.Name, n.Address, pick(n.Running, "runs", "has no power"), pick(n.Ready, "ready", "not ready"))
	}
	return table.Flush()
}

func pick(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}

func load(ctx context.Context, in *invocation) error {
	return with(ctx, in, func(c *cluster.Cluster) error {
		for _, archive := range in.args {
			if err := c.LoadImage(ctx, archive); err != nil {
				return err
			}
			fmt.Fprintln(in.stderr, "loaded", archive)
		}
		return nil
	})
}

func kubectl(ctx context.Context, in *invocation) error {
	return with(ctx, in, func(c *cluster.Cluster) error {
		cmd, err := c.KubectlCommand(ctx, in.args...)
		if err != nil {
			return err
		}
		return attach(cmd).Run()
	})
}

func helm(ctx context.Context, in *invocation) error {
	return with(ctx, in, func(c *cluster.Cluster) error {
		cmd, err := c.HelmCommand(ctx, in.args...)
		if err != nil {
			return err
		}
		return attach(cmd).Run()
	})
}

func execute(ctx context.Context, in *invocation) error {
	if len(in.args) == 0 {
		fmt.Fprintln(in.stderr, "error: which program?")
		return errUsage
	}
	return with(ctx, in, func(c *cluster.Cluster) error {
		return c.Do(attach(exec.CommandContext(ctx, in.args[0], in.args[1:]...)).Run)
	})
}

// attach gives a program this one's terminal.
func attach(cmd *exec.Cmd) *exec.Cmd {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

func kubeconfig(ctx context.Context, in *invocation) error {
	return with(ctx, in, func(c *cluster.Cluster) error {
		text, err := os.ReadFile(c.Kubeconfig())
		if err != nil {
			return err
		}
		_, err = in.stdout.Write(text)
		return err
	})
}

func cut(ctx context.Context, in *invocation) error {
	return fault(ctx, in, "the nodes don't reach one another any more", func(c *cluster.Cluster) error { return c.CutLink(ctx) })
}

func heal(ctx context.Context, in *invocation) error {
	return fault(ctx, in, "the nodes reach one another", func(c *cluster.Cluster) error { return c.HealLink(ctx) })
}

func killNode(ctx context.Context, in *invocation) error {
	return fault(ctx, in, in.args[0]+" has no power any more", func(c *cluster.Cluster) error { return c.KillNode(ctx, in.args[0]) })
}

func startNode(ctx context.Context, in *invocation) error {
	return fault(ctx, in, in.args[0]+" is ready", func(c *cluster.Cluster) error { return c.StartNode(ctx, in.args[0]) })
}

// fault breaks or mends something, and says what is so from then on.
func fault(ctx context.Context, in *invocation, done string, f func(*cluster.Cluster) error) error {
	err := with(ctx, in, f)
	if err == nil {
		fmt.Fprintln(in.stderr, done)
	}
	return err
}

func build(ctx context.Context, in *invocation) error { return cluster.Build(ctx, in.stderr) }

func supported(_ context.Context, in *invocation) error {
	if err := cluster.Supported(); err != nil {
		return err
	}
	fmt.Fprintln(in.stdout, "this machine can run a cluster")
	return nil
}

// with runs f on a cluster that is up.
func with(ctx context.Context, in *invocation, f func(*cluster.Cluster) error) error {
	c, err := cluster.Open(ctx, in.options)
	if err != nil {
		return err
	}
	return f(c)
}
