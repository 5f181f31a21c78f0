package machine

import (
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestGroupMemory(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"none":                          {nil, 0},
		"version 2, container":          {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "268435456\n"}, 256 << 20},
		"version 2, without bound":      {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"version 2, service of systemd": {map[string]string{"proc/self/cgroup": "0::/system.slice/moot.service\n", "sys/fs/cgroup/system.slice/moot.service/memory.max": "1000\n"}, 1000},
		"version 2, the least counts": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "2000\n", "sys/fs/cgroup/a/memory.max": "1000\n",
			"sys/fs/cgroup/memory.max": "3000\n"}, 1000},
		"version 1, container": {map[string]string{"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/kubepods/pod1\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n"}, 1000},
		"version 1, group": {map[string]string{"proc/self/cgroup": "4:hugetlb,memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1000},
		"garbage":        {map[string]string{"proc/self/cgroup": "x\n0:\n:::\n0::../../x\n", "sys/fs/cgroup/memory.max": "-1\n"}, 0},
		"no membership":  {map[string]string{"sys/fs/cgroup/memory.max": "1000"}, 1000},
		"out of the way": {map[string]string{"proc/self/cgroup": "0::/../../etc\n", "sys/fs/cgroup/memory.max": "1000"}, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{}
			for path, content := range tt.files {
				files[path] = &fstest.MapFile{Data: []byte(content)}
			}
			if got := groupMemory(files); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	all := Memory()
	if all <= 0 {
		t.Fatalf("the machine has %d bytes of memory", all)
	}
	if container := ContainerMemory(); container < 0 || container > 0 && container < all {
		t.Errorf("the container may use %d bytes, the process %d", container, all)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(all / 2))
	if got := Memory(); got != all/2 {
		t.Errorf("with a limit of %d the process may use %d", all/2, got)
	}
}
