//go:build linux

package machine

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 123456 1000 0"
	for _, test := range []struct {
		name, text string
		want       stat
		ok         bool
	}{
		{"plain", "42 (sleep)" + rest, stat{"S", 9, 123456}, true},
		{"a name with everything in it", "42 (a) R 7 (b))" + rest, stat{"S", 9, 123456}, true},
		{"cut short", "42 (sleep) S 1 77", stat{}, false},
		{"empty", "", stat{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseStat(test.text)
			if (err == nil) != test.ok || got != test.want {
				t.Errorf("parseStat(%q) = %+v, %v", test.text, got, err)
			}
		})
	}
}

func TestProcessIsAliveUntilItIsAnother(t *testing.T) {
	self, err := processOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !self.alive() {
		t.Error("this process does not count as alive")
	}
	if another := (Process{ID: self.ID, Started: self.Started + 1}); another.alive() {
		t.Error("a process with the same id that started at another time counts as this one")
	}
	if (Process{}).alive() {
		t.Error("no process counts as alive")
	}
}

func TestParseHierarchies(t *testing.T) {
	for _, test := range []struct {
		name, mounts, own string
		want              []Hierarchy
	}{
		{
			"one controller each",
			"tmpfs /sys/fs/cgroup tmpfs rw 0 0\n" +
				"cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n" +
				"cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0\n" +
				"cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n" +
				"proc /proc proc rw 0 0\n",
			"9:name=systemd:/\n1:cpu:/deep/er\n0::/other\n",
			[]Hierarchy{
				{"cpu", "cgroup", "cpu", "/sys/fs/cgroup/cpu/deep/er"},
				{"systemd", "cgroup", "name=systemd", "/sys/fs/cgroup/systemd"},
				{"unified", "cgroup2", "", "/sys/fs/cgroup/unified/other"},
			},
		},
		{
			"two controllers together",
			"cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0\n",
			"3:cpu,cpuacct:/a:b\n",
			[]Hierarchy{{"cpu,cpuacct", "cgroup", "cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a:b"}},
		},
		{"mounted elsewhere", "cgroup /mnt/cpu cgroup rw,cpu 0 0\n", "1:cpu:/\n", nil},
		{"not this process's", "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n", "1:memory:/\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := parseHierarchies(test.mounts, test.own); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestOuterGroupsAreTheClusters(t *testing.T) {
	groups := Cgroups{Hierarchies: []Hierarchy{{Name: "cpu", Folder: "/g/cpu/cluster/node"}, {Name: "pids", Folder: "/g/pids/cluster/node"}}}
	if got := groups.Outer().Folders(); !slices.Equal(got, []string{"/g/cpu/cluster", "/g/pids/cluster"}) {
		t.Errorf("outer groups are %q", got)
	}
	if got := groups.Folders(); !slices.Equal(got, []string{"/g/cpu/cluster/node", "/g/pids/cluster/node"}) {
		t.Errorf("the groups themselves have become %q", got)
	}
}

func TestSpecIsSavedAndLoaded(t *testing.T) {
	spec := &Spec{
		Hostname: "h", Namespace: "n", Folder: t.TempDir(), Forward: "127.0.0.1:1",
		Programs: []Program{{Name: "p", Args: []string{"/bin/p", "-x"}, Until: "unix:/s", After: "tcp:1.2.3.4:5"}},
	}
	file, err := spec.save()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := loadSpec(file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(loaded, spec) {
		t.Errorf("loaded %+v, saved %+v", loaded, spec)
	}
}

func TestSpecIsValidated(t *testing.T) {
	good := func() *Spec {
		return &Spec{Hostname: "h", Namespace: "n", Folder: "/f", Programs: []Program{{Name: "p", Args: []string{"/bin/p"}}}}
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		want  string
		spoil func(*Spec)
	}{
		{"no name", func(s *Spec) { s.Hostname = "" }},
		{"network namespace", func(s *Spec) { s.Namespace = "../n" }},
		{"not absolute", func(s *Spec) { s.Folder = "f" }},
		{"absolute path", func(s *Spec) { s.Programs[0].Args[0] = "p" }},
		{"unix:PATH", func(s *Spec) { s.Programs[0].Until = "file:/x" }},
		{"unix:PATH", func(s *Spec) { s.Programs[0].After = "tcp:" }},
	} {
		s := good()
		test.spoil(s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q in it", err, test.want)
		}
	}
}
