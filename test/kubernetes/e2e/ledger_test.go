//go:build kubernetes && linux

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// votingWithin is how long four validators may take from the installation until all vote.
	votingWithin = 2 * time.Minute
	// manyValidators is how many four become and are reduced from again.
	fewValidators, manyValidators = 4, 7
	// payGap is the longest time without an acknowledged payment that is right while one validator at most is away. It is far above what is measured.
	payGap = 20 * time.Second
)

// ledgerTrial is a network with a ledger to which one thing after the other happens while money is paid.
type ledgerTrial struct {
	*release
	validators string // the StatefulSet's name
	payments   *payments
}

// TestLedger installs a network with four validators and one peer that follows, and does to it under a steady load what happens in the life of a cluster. In the end every payment that was acknowledged is in the
// block that was said, at every validator, and the balance is what was paid.
func TestLedger(t *testing.T) {
	n := newNamespace(t, "ledger")
	began := time.Now()
	lt := &ledgerTrial{release: install(n, "folkmoot", fmt.Sprintf("validators=%d", fewValidators), "replicas=1"), validators: "folkmoot-validator"}
	if took := time.Since(began); took > votingWithin {
		t.Errorf("the validators voted after %v, want %v at most", took, votingWithin)
	} else {
		t.Logf("four validators vote after %v", took.Round(time.Second))
	}
	lt.vote(fewValidators)
	n.helm("test", lt.name)
	lt.refuses("validators=0", "stands still without validators")
	genesis := lt.genesis()
	id, err := ledger.ParseHash(lt.state(0).Network)
	check(t, err)
	c, err := lt.client(lt.podURL(0))
	check(t, err)
	defer c.Close()
	lt.payments = lt.pay(newMoney(t, c, id), lt.nodeURLs())
	defer lt.payments.stop()
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"a pod is killed while 4 become 7", lt.growAndKill},
		{"7 to 4", lt.shrink},
		{"rolling upgrade", lt.upgradeValidators},
		{"the founder loses its volume", lt.loseVolume},
	} {
		began := time.Now()
		lt.payments.pause()
		step.do()
		gap, paid := lt.payments.pause()
		t.Logf("%s: %v, longest time without an acknowledged payment %v, %d paid so far", step.name, time.Since(began).Round(100*time.Millisecond), gap.Round(10*time.Millisecond), paid)
		if gap > payGap {
			t.Errorf("%s: no payment was acknowledged for %v", step.name, gap)
		}
		if t.Failed() {
			return
		}
	}
	lt.payments.stop()
	if now := lt.genesis(); now != genesis {
		t.Errorf("the genesis has changed from\n%s\nto\n%s", genesis, now)
	}
	lt.verifyPayments()
}

// genesis returns the genesis document in the release's ConfigMap.
func (lt *ledgerTrial) genesis() string {
	lt.t.Helper()
	return lt.kubectl("get", "configmap", lt.name+"-genesis", "-o", `jsonpath={.data.genesis\.json}`)
}

func (lt *ledgerTrial) pod(i int) string { return fmt.Sprintf("%s-%d", lt.validators, i) }

// podURL is the address of a validator's API.
func (lt *ledgerTrial) podURL(i int) string {
	lt.t.Helper()
	p := pod{IP: lt.kubectl("get", "pod", lt.pod(i), "-o", "jsonpath={.status.podIP}")}
	return p.url()
}

// state returns what a validator says of the ledger.
func (lt *ledgerTrial) state(i int) v1.Ledger {
	lt.t.Helper()
	var state v1.Ledger
	lt.eventually(func(ctx context.Context) error {
		c, err := lt.client(lt.podURL(i))
		if err != nil {
			return err
		}
		defer c.Close()
		state, err = c.Ledger(ctx)
		return err
	})
	return state
}

// keys returns the validators' keys by their seats, as each pod tells its own.
func (lt *ledgerTrial) keys(seats int) (keys []string) {
	lt.t.Helper()
	for i := range seats {
		keys = append(keys, lt.state(i).Validator)
	}
	return keys
}

// vote waits until the validators of the ledger, as each of them and the peer that follows says, are those of the first pods and no other, all with the same power. It returns their keys.
func (lt *ledgerTrial) vote(seats int) (keys []string) {
	lt.t.Helper()
	lt.kubectl("wait", "statefulset/"+lt.validators, fmt.Sprintf("--for=jsonpath={.status.readyReplicas}=%d", seats), "--timeout="+settlePatience.String())
	keys = lt.keys(seats)
	urls := lt.podURLs()
	for i := range seats {
		urls = append(urls, lt.podURL(i))
	}
	want := slices.Sorted(slices.Values(keys))
	lt.eventually(func(ctx context.Context) error {
		for _, url := range urls {
			c, err := lt.client(url)
			if err != nil {
				return err
			}
			defer c.Close()
			known, err := c.Validators(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", url, err)
			}
			var got []string
			for _, v := range known.Validators {
				got = append(got, v.Key)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) || known.Total != uint64(seats) {
				return fmt.Errorf("%s: %d of power, validators %q, want %q", url, known.Total, got, want)
			}
		}
		return nil
	})
	return keys
}

// growAndKill makes more validators of four, one of which gets SIGKILL meanwhile: it comes back as who it was, and nobody is let in at the price of the quorum.
func (lt *ledgerTrial) growAndKill() {
	lt.t.Helper()
	before := lt.keys(fewValidators)
	lt.upgrade(fmt.Sprintf("validators=%d", manyValidators))
	victim := "pod/" + lt.pod(2)
	lt.kubectl("delete", victim, "--grace-period=0", "--force")
	lt.kubectl("wait", "--for=create", victim, "--timeout=30s")
	if after := lt.vote(manyValidators); !slices.Equal(before, after[:fewValidators]) {
		lt.t.Errorf("the first keys were %q, and are %q with more validators", before, after)
	}
}

// shrink scales three validators away. When they have gone, nothing is waited for: their power was gone before they were.
func (lt *ledgerTrial) shrink() {
	lt.t.Helper()
	keys := lt.keys(manyValidators)
	lt.upgrade(fmt.Sprintf("validators=%d", fewValidators))
	for i := fewValidators; i < manyValidators; i++ {
		lt.kubectl("wait", "--for=delete", "pod/"+lt.pod(i), "--timeout="+settlePatience.String())
	}
	c, err := lt.client(lt.podURL(0))
	check(lt.t, err)
	defer c.Close()
	known, err := c.Validators(lt.t.Context())
	check(lt.t, err)
	for _, v := range known.Validators {
		if i := slices.Index(keys, v.Key); i >= fewValidators {
			lt.t.Errorf("the validator of seat %d has gone, and has power", i)
		}
	}
	lt.vote(fewValidators)
}

// upgradeValidators gives half of the validators another image, one after the other: all of them would say no more, and take twice as long.
func (lt *ledgerTrial) upgradeValidators() {
	lt.t.Helper()
	before := lt.keys(fewValidators)
	lt.upgrade("image.tag="+nextTag, fmt.Sprintf("updateStrategy.rollingUpdate.partition=%d", fewValidators/2))
	lt.kubectl("rollout", "status", "statefulset/"+lt.validators, "--timeout=5m")
	if after := lt.vote(fewValidators); !slices.Equal(before, after) {
		lt.t.Errorf("the keys were %q, and are %q after an upgrade", before, after)
	}
	images := lt.kubectl("get", "pods", "-l", "app.kubernetes.io/component=validator", "-o", "jsonpath={.items[*].spec.containers[0].image}")
	if strings.Count(images, repository+":"+nextTag) != fewValidators/2 {
		lt.t.Errorf("the validators run %s", images)
	}
}

// loseVolume takes the founder's volume away. It comes back as another validator, and must not found another network.
func (lt *ledgerTrial) loseVolume() {
	lt.t.Helper()
	before := lt.keys(fewValidators)
	claim := "pvc/data-" + lt.pod(0)
	lt.kubectl("delete", claim, "--wait=false")
	lt.kubectl("delete", "pod/"+lt.pod(0), "--grace-period=1", "--wait=true")
	lt.kubectl("wait", "--for=create", "pod/"+lt.pod(0), "--timeout=30s")
	after := lt.vote(fewValidators)
	if before[0] == after[0] || !slices.Equal(before[1:], after[1:]) {
		lt.t.Errorf("the keys were %q, and are %q after the first has lost its volume", before, after)
	}
}

// verifyPayments looks every acknowledged payment up at every validator, and adds them up.
func (lt *ledgerTrial) verifyPayments() {
	lt.t.Helper()
	p := lt.payments
	if len(p.acked) == 0 {
		lt.t.Fatal("nothing was paid")
	}
	for id, why := range p.unanswered {
		lt.t.Errorf("payment %s: %s", id, why)
	}
	ctx, cancel := context.WithTimeout(lt.t.Context(), verifyPatience)
	defer cancel()
	last := slices.MaxFunc(p.acked, func(a, b payment) int { return int(a.height - b.height) }).height
	for i := range fewValidators {
		c, err := lt.client(lt.podURL(i))
		check(lt.t, err)
		defer c.Close()
		lt.eventually(func(ctx context.Context) error {
			state, err := c.Ledger(ctx)
			if err == nil && state.Height < last {
				err = fmt.Errorf("%s is at block %d, and %d is the last with a payment", lt.pod(i), state.Height, last)
			}
			return err
		})
		for _, one := range p.acked {
			got, err := c.Transaction(ctx, one.id)
			if err != nil || !got.Applied || got.Height != one.height {
				lt.t.Errorf("payment %s was acknowledged in block %d; %s says %+v, %v", one.id, one.height, lt.pod(i), got.TransactionStatus, err)
			}
		}
		account, err := c.Account(ctx, p.to.String())
		check(lt.t, err)
		if len(account.Balances) != 1 || account.Balances[0].Amount != fmt.Sprint(len(p.acked)) {
			lt.t.Errorf("%s: %d were paid, and the balance is %+v", lt.pod(i), len(p.acked), account.Balances)
		}
	}
	lt.t.Logf("%d payments were acknowledged, and are there at every validator", len(p.acked))
}
