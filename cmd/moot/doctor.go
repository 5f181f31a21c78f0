package main

import (
	"context"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func newDoctor(a *app) *cobra.Command {
	cmd := a.command("doctor", "Say what is wrong with the node, and what mends it", wants(0, 0), func(ctx context.Context, _ []string) error { return a.doctor(ctx) })
	cmd.Long = `Look at the node, its machine and those around it, and say in plain words what is wrong, each with the command that mends it or tells more. It takes some seconds.

It looks at: peers, and why there are none; whether others can dial the node; the clock; the disk's speed and room; file descriptors; UDP buffers; the network's records; the ledger and its validators; versions.
The exit code is 1 when there is a problem, and 0 when there are warnings at most. On Kubernetes: kubectl exec POD -- moot doctor.`
	cmd.Example = `  moot doctor
  moot doctor --json | jq -r '.findings[] | .summary'`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) doctor(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	d, err := c.Doctor(ctx)
	if err != nil {
		return a.askFailed("ask the doctor", "", err)
	}
	if err := a.show(d, func() { a.printDiagnosis(&d) }); err != nil || d.Healthy {
		return err
	}
	return fault.New(fault.Internal, "doctor: there are problems")
}

func (a *app) printDiagnosis(d *v1.Diagnosis) {
	for _, f := range d.Findings {
		a.printf("%s  %s: %s\n", f.Severity, printable(f.Check), printable(f.Summary))
		if f.Command != "" {
			a.printf("         try: %s\n", printable(f.Command))
		}
	}
	if len(d.Findings) == 0 {
		a.printf("all is well: looked at %s\n", plural(len(d.Checks), "thing"))
	}
}
