//go:build linux

package netns

import (
	"errors"
	"fmt"
	"os/exec"
)

// Split divides the link: the given hosts, which are attached to it, reach one another and nobody else on it, until Heal. What was on its way is lost; nobody is told. A link that is divided can be divided again.
func (k *Link) Split(hosts ...*Host) error {
	k.mu.Lock()
	k.parts++
	name := fmt.Sprint("part", k.parts)
	k.mu.Unlock()
	if err := k.bridge(name); err != nil {
		return err
	}
	return k.move(name, hosts)
}

// Heal makes the link whole again for the given hosts.
func (k *Link) Heal(hosts ...*Host) error { return k.move("bridge", hosts) }

// move puts the hosts' ports on a bridge of the link.
func (k *Link) move(bridge string, hosts []*Host) error {
	for _, h := range hosts {
		port, ok := h.interfaces[k]
		if !ok {
			return fmt.Errorf("%s is not attached to link %d", h.Name, k.number)
		}
		if err := ip("-n", k.namespace, "link", "set", port, "master", bridge); err != nil {
			return err
		}
	}
	return nil
}

// lossTable is the place of the rules that lose packets: before anything else sees them.
var lossTable = []string{"-t", "raw"}

// Lose makes the host lose packets at random, each that comes in over any link with probability p, from 0 to 1; 0 ends it. Its loopback loses nothing. It needs the iptables program.
func (h *Host) Lose(p float64) error {
	if h.loses {
		if err := h.filter("--flush", "PREROUTING"); err != nil {
			return err
		}
		h.loses = false
	}
	if p == 0 {
		return nil
	}
	h.loses = true
	return h.filter("--append", "PREROUTING", "!", "--in-interface", "lo", "--match", "statistic", "--mode", "random", "--probability", fmt.Sprint(p), "--jump", "DROP")
}

// filter changes the rules for packets of both IPs.
func (h *Host) filter(args ...string) error {
	for _, program := range []string{"iptables", "ip6tables"} {
		if _, err := output("ip", append(append([]string{"netns", "exec", h.Name, program, "--wait"}, lossTable...), args...)...); err != nil {
			return err
		}
	}
	return nil
}

// LossSupported returns nil when hosts of labs can lose packets, and otherwise what the machine lacks.
func LossSupported() error {
	if _, err := exec.LookPath("ip6tables"); err != nil {
		return errors.New("the loss of packets needs the iptables program (Debian package iptables)")
	}
	lab, err := New()
	if err != nil {
		return err
	}
	defer lab.Close()
	h, err := lab.Host("a")
	if err != nil {
		return err
	}
	return h.Lose(0.5)
}
