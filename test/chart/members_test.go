//go:build kubernetes && linux

package chart

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
)

const membersName = fullName + "-members"

// TestMembers: all pods of a network with a ledger have the members' secret where they become members, only validators where they run, and no pod of other networks has it.
func TestMembers(t *testing.T) {
	m := render(t, "{validators: 4, extra: {replicas: 1}}")
	secret, err := base64.StdEncoding.DecodeString(fmt.Sprint(at(m.get(t, "Secret", membersName), "data", "secret")))
	if err != nil || len(secret) < 32 {
		t.Errorf("secret %q: %v", secret, err)
	}
	if at(m.get(t, "Secret", validatorsName), "data", "secret") == at(m.get(t, "Secret", membersName), "data", "secret") {
		t.Error("who may be a member may be a validator")
	}
	for _, o := range []object{m.peers(t), m.get(t, "StatefulSet", validatorsName), m.get(t, "Deployment", fullName+"-extra")} {
		name := fmt.Sprint(at(o, "metadata", "name"))
		isValidator := name == validatorsName
		entering, running := texts(podSpec(o), "initContainers", 0, "args"), texts(moot(o), "args")
		for _, want := range []string{"--members-secret=/etc/moot/members/secret", "--dns=town-folkmoot-peers:4242"} {
			if !slices.Contains(entering, want) {
				t.Errorf("%s enters with %q, without %s", name, entering, want)
			}
		}
		if slices.Contains(running, "--members-secret=/etc/moot/members/secret") != isValidator {
			t.Errorf("%s runs with %q", name, running)
		}
		if has := named(list(moot(o), "volumeMounts"), "members") != nil; has != isValidator {
			t.Errorf("%s has the members' secret while it runs: %t", name, has)
		}
		if at(named(list(podSpec(o), "volumes"), "members"), "secret", "secretName") != membersName {
			t.Errorf("%s has the volumes %v", name, list(podSpec(o), "volumes"))
		}
	}
	for _, values := range []string{"", "{validators: 4, members: {only: false}}", "{validators: 4, members: null}", valueSets["joins"]} {
		m := render(t, values)
		if m.find("Secret", membersName) != nil || named(list(podSpec(m.peers(t)), "volumes"), "members") != nil {
			t.Errorf("%s: there is a members' secret", values)
		}
	}
	given := render(t, valueSets["members by a secret of ours"])
	if given.find("Secret", membersName) != nil {
		t.Error("a secret is made although there is one")
	}
	if volume := named(list(podSpec(given.peers(t)), "volumes"), "members"); at(volume, "secret", "secretName") != "ours" || at(volume, "secret", "items", 0, "key") != "the.secret" {
		t.Errorf("the secret is taken from %v", volume)
	}
}

// TestPeersThatJoin: peers with an invite make their home with it, and are of no network of their own.
func TestPeersThatJoin(t *testing.T) {
	m := render(t, valueSets["joins"])
	for _, o := range []object{m.peers(t), m.get(t, "Deployment", fullName+"-extra")} {
		entering, running := texts(podSpec(o), "initContainers", 0, "args"), texts(moot(o), "args")
		if want := []string{"join", "--file=/etc/moot/join/line", "--name=$(MOOT_POD_NAME)", "--yes", "--run=false"}; !slices.Equal(entering, want) {
			t.Errorf("they enter with %q, want %q", entering, want)
		}
		if slices.Contains(running, "--open") || running[0] != "run" || running[1] != "--rejoin" {
			t.Errorf("they run with %q", running)
		}
		if volume := named(list(podSpec(o), "volumes"), "join"); at(volume, "secret", "secretName") != "invite" || at(volume, "secret", "items", 0, "path") != "line" {
			t.Errorf("the line is taken from %v", volume)
		}
		if named(list(moot(o), "volumeMounts"), "join") != nil {
			t.Error("the line is there while the peer runs")
		}
	}
	if role := m.get(t, "Role", fullName); len(list(role, "rules")) != 1 {
		t.Errorf("they may %v", list(role, "rules"))
	}
}
