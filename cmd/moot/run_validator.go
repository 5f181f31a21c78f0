package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/accounts"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/kubernetes"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/enrol"
	"github.com/folkmoot/folkmoot/node"
)

// replicasFor is for how long a StatefulSet's answer is good: validators look at how many there are to be every second.
const replicasFor = 3 * time.Second

// validatorConfig returns what makes the node one of the validators that share a secret, nil when it is to be none of them. The keys are made where they are not there.
func (a *app) validatorConfig(o runOptions) (*node.ValidatorConfig, error) {
	if o.validatorsSecret == "" {
		return nil, nil
	}
	secret, err := readSecret("validators'", o.validatorsSecret)
	if err != nil {
		return nil, err
	}
	v := &node.ValidatorConfig{Secret: secret, Seat: o.seat, Seats: func(context.Context) (int, error) { return o.seats, nil }}
	if o.membersSecret != "" {
		if v.MembersSecret, err = readSecret("members'", o.membersSecret); err != nil {
			return nil, err
		}
	}
	if o.seatOfPod {
		pod, err := kubernetes.Here(a.lookupEnv, a.serviceAccount)
		if err != nil {
			return nil, fmt.Errorf("option --seat-of-pod: %w", err)
		}
		replicas := &replicas{ask: pod.Replicas}
		v.Seat, v.Seats = pod.Ordinal(), replicas.get
	}
	if _, err := ownValidator(a.home); err != nil {
		return nil, fmt.Errorf("make the validator's keys: %w", err)
	}
	v.Operator, err = accounts.Folder(filepath.Join(a.home, node.AccountsDir)).Open(operatorName, func([]byte) ([]byte, error) {
		return nil, advise(fault.New(fault.Forbidden, "it is under a passphrase"), "a node that votes by itself needs it without one")
	})
	if err != nil {
		return nil, fmt.Errorf("the account that speaks for the validator: %w", err)
	}
	return v, nil
}

// checkSeat refuses options that don't go together.
func (o *runOptions) checkSeat() error {
	byHand := o.seat >= 0 || o.seats != 0
	switch {
	case o.validatorsSecret == "" && o.membersSecret != "":
		return fault.New(fault.Invalid, "option --members-secret is for a node with --validators-secret: its operator keeps the invite open by which others enter")
	case o.validatorsSecret == "" && (byHand || o.seatOfPod):
		return fault.New(fault.Invalid, "options --seat, --seats and --seat-of-pod are for a node with --validators-secret")
	case o.validatorsSecret == "":
		return nil
	case o.seatOfPod && byHand:
		return fault.New(fault.Invalid, "option --seat-of-pod says the seat and how many there are: leave --seat and --seats out")
	case o.seatOfPod:
		return nil
	case o.seat < 0 || o.seat >= enrol.MaxSeats:
		return fault.New(fault.Invalid, "option --seat: want 0 to %d with --validators-secret", enrol.MaxSeats-1)
	case o.seats < 1 || o.seats > enrol.MaxSeats:
		return fault.New(fault.Invalid, "option --seats: want 1 to %d with --validators-secret", enrol.MaxSeats)
	}
	return nil
}

// readSecret reads the secret that some have in common, in one line; whose says who.
func readSecret(whose, file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > 2*enrol.MaxSecret) {
		err = fault.New(fault.Invalid, "it is no file of one line")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the %s secret %s: %w", whose, file, err)
	}
	secret := strings.TrimSpace(string(data))
	if strings.ContainsAny(secret, "\r\n") || len(secret) < enrol.MinSecret || len(secret) > enrol.MaxSecret {
		return nil, advise(fault.New(fault.Invalid, "the %s secret %s: want one line of %d to %d bytes", whose, file, enrol.MinSecret, enrol.MaxSecret), "make one with: openssl rand -base64 32")
	}
	return []byte(secret), nil
}

// replicas remembers for a while what a StatefulSet said.
type replicas struct {
	ask func(context.Context) (int, error)

	mu  sync.Mutex
	n   int       // guarded by mu
	err error     // guarded by mu
	at  time.Time // guarded by mu
}

func (r *replicas) get(ctx context.Context) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || time.Since(r.at) >= replicasFor {
		r.n, r.err = r.ask(ctx)
		r.at = time.Now()
	}
	return r.n, r.err
}
