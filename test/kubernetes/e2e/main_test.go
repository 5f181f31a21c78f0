//go:build kubernetes && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/test/kubernetes/cluster"
	"github.com/folkmoot/folkmoot/test/moottest"
)

const (
	// root is the folder of the project.
	root = "../../.."
	// repository is the image under test; its tags are imageTag and, the same program in another image, nextTag.
	repository = "localhost/folkmoot/moot"
	imageTag   = "e2e"
	nextTag    = "e2e-next"
	// epoch is when the first of them says that it was made, in seconds since 1970.
	epoch = 1_700_000_000
	// downPatience bounds the taking down of the cluster, also after an interrupt.
	downPatience = time.Minute
)

var (
	// shared is the cluster of all tests, and imageArchive the image under imageTag; set by TestMain.
	shared       *cluster.Cluster
	imageArchive string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	kubeconfig := os.Getenv("MOOT_KUBECONFIG")
	if why := cluster.Supported(); why != nil && kubeconfig == "" {
		fmt.Printf("GAP: this machine can't run a Kubernetes of its own: %v\n", why)
		if !moottest.GapsAllowed() {
			return 1, errors.New("gaps are failures here, as CI is true or MOOT_ALLOW_GAPS is 0")
		}
		return 0, nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	archives, err := buildImages(ctx)
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(filepath.Dir(archives[0]))
	imageArchive = archives[0]
	shared, err = cluster.Up(ctx, cluster.Options{Name: "e2e", Log: os.Stdout, Kubeconfig: kubeconfig})
	if err != nil {
		return 1, err
	}
	if os.Getenv("MOOT_KEEP_CLUSTER") == "" {
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downPatience)
			defer cancel()
			err = errors.Join(err, shared.Down(ctx))
		}()
	}
	for _, archive := range archives {
		if err := shared.LoadImage(ctx, archive); err != nil {
			return 1, err
		}
	}
	// An interrupt ends the tests' commands and then the cluster.
	return m.Run(), ctx.Err()
}

// buildImages builds the image under both tags.
func buildImages(ctx context.Context) (archives []string, err error) {
	dir, err := os.MkdirTemp("", "moot-kubernetes-")
	if err != nil {
		return nil, err
	}
	for i, tag := range []string{imageTag, nextTag} {
		archive := filepath.Join(dir, tag+".tar")
		cmd := exec.CommandContext(ctx, "go", "run", "./deploy/image", "--platform", "linux/"+runtime.GOARCH, "--out", archive, "--tag", tag)
		cmd.Dir = root
		// Another time makes another image of the same program.
		cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch+i))
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the image %s: %w\n%s", tag, err, out)
		}
		archives = append(archives, archive)
	}
	return archives, nil
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
