package process

import (
	"context"
	"fmt"
	"time"

	"github.com/folkmoot/folkmoot/internal/pause"
	"github.com/folkmoot/folkmoot/node"
)

// Patience says how often something is looked for, and what is said when the time for it is over.
type Patience struct {
	Poll time.Duration
	Late string
}

// StartNode adds a node to the group: the program, run on a home with further arguments, and no variable of its own in its environment. It returns how its API is reached once that is there.
func (c *Group) StartNode(ctx context.Context, patience Patience, program, home string, args ...string) (url, token string, err error) {
	started, err := Start("MOOT_", program, append([]string{"run", "--home", home, "--mdns=false", "--api-listen", "127.0.0.1:0"}, args...)...)
	if err != nil {
		return "", "", err
	}
	*c = append(*c, started)
	err = c.Until(ctx, patience, func() bool {
		var missing error
		url, token, missing = node.RunningAPI(home)
		return missing == nil
	})
	return url, token, err
}

// Until waits for a condition while the processes run.
func (c Group) Until(ctx context.Context, patience Patience, holds func() bool) error {
	for !holds() {
		if err := c.Ended(); err != nil {
			return err
		}
		if err := pause.For(ctx, patience.Poll); err != nil {
			return fmt.Errorf("%s: %w", patience.Late, err)
		}
	}
	return nil
}
