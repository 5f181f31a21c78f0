package recordbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/bench/process"
	"github.com/folkmoot/folkmoot/internal/pause"
)

const (
	etcdProgram = "etcd"
	// etcdStart bounds the time until all members of an etcd cluster answer.
	etcdStart = 30 * time.Second
	// etcdVersionTimeout bounds the question for its version.
	etcdVersionTimeout = 5 * time.Second
)

// etcd is a cluster of etcd processes on this machine.
type etcd struct {
	dir     string
	members process.Group
	clients []*etcdClient
}

// etcdVersion returns which etcd there is. Its error says how to get one.
func etcdVersion(ctx context.Context) (string, error) {
	program, err := exec.LookPath(etcdProgram)
	if err != nil {
		return "", errors.New("there is no etcd here; on Debian: apt-get install etcd-server")
	}
	ctx, cancel := context.WithTimeout(ctx, etcdVersionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.Env = process.EnvironWithout("ETCD_")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", program, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(line, "etcd Version: "), nil
}

// openEtcd starts the members with data in a temporary folder under dir, which Close removes, and returns when all serve requests.
func openEtcd(ctx context.Context, dir string, members int) (_ *etcd, err error) {
	e := new(etcd)
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if e.dir, err = os.MkdirTemp(dir, "etcd-bench-"); err != nil {
		return nil, err
	}
	ports, err := process.FreePorts(2 * members)
	if err != nil {
		return nil, err
	}
	url := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
	var cluster []string
	for i := range members {
		cluster = append(cluster, fmt.Sprintf("m%d=%s", i, url(ports[2*i])))
	}
	for i := range members {
		peerURL, clientURL := url(ports[2*i]), url(ports[2*i+1])
		c, err := process.Start("ETCD_", etcdProgram,
			"--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(e.dir, fmt.Sprint(i)),
			"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL,
			"--listen-client-urls", clientURL, "--advertise-client-urls", clientURL,
			"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-token", filepath.Base(e.dir),
			"--logger", "zap", "--log-level", "error")
		if err != nil {
			return nil, err
		}
		e.members = append(e.members, c)
		e.clients = append(e.clients, newEtcdClient(clientURL))
	}
	return e, e.await(ctx)
}

// await waits until every member serves a write.
func (e *etcd) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, etcdStart)
	defer cancel()
	for i := range e.clients {
		for {
			err := e.Put(ctx, i, "ready", nil)
			if err == nil {
				break
			}
			if gone := e.members.Ended(); gone != nil {
				return gone
			}
			if pause.For(ctx, settlePoll) != nil {
				return fmt.Errorf("etcd is not ready after %v: %w", etcdStart, err)
			}
		}
	}
	return nil
}

func (e *etcd) Put(ctx context.Context, peer int, key string, value []byte) error {
	return e.clients[peer].Put(ctx, key, value)
}

func (e *etcd) Get(ctx context.Context, peer int, key string) ([]byte, error) {
	return e.clients[peer].Get(ctx, key)
}

func (e *etcd) CPU() (time.Duration, error) { return e.members.CPU() }

func (e *etcd) Close() error {
	for _, c := range e.clients {
		c.Close()
	}
	return errors.Join(e.members.Stop(), os.RemoveAll(e.dir))
}
