package scenarios

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// object is what is looked at of a Kubernetes object. Unknown fields are the API server's business.
type object struct {
	Kind     string
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Spec podSpec
}

type podSpec struct {
	HostNetwork                  bool   `yaml:"hostNetwork"`
	DNSPolicy                    string `yaml:"dnsPolicy"`
	AutomountServiceAccountToken *bool  `yaml:"automountServiceAccountToken"`
	SecurityContext              struct {
		RunAsNonRoot   bool `yaml:"runAsNonRoot"`
		RunAsUser      int  `yaml:"runAsUser"`
		SeccompProfile struct {
			Type string
		} `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []container
}

type container struct {
	Name, Image     string
	ImagePullPolicy string `yaml:"imagePullPolicy"`
	Args            []string
	Ports           []struct {
		ContainerPort int `yaml:"containerPort"`
		HostPort      int `yaml:"hostPort"`
		Protocol      string
	}
	SecurityContext struct {
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct {
			Add, Drop []string
		}
	} `yaml:"securityContext"`
}

// scenarios returns the objects of each scenario.
func scenarios(t *testing.T) map[string][]object {
	t.Helper()
	files, err := filepath.Glob("*/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("manifests %q, %v", files, err)
	}
	all := map[string][]object{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for d := yaml.NewDecoder(f); ; {
			var o object
			if err := d.Decode(&o); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all[filepath.Dir(name)] = append(all[filepath.Dir(name)], o)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func pods(objects []object) []object {
	return slices.DeleteFunc(slices.Clone(objects), func(o object) bool { return o.Kind != "Pod" })
}

func TestScenariosDoNotMix(t *testing.T) {
	for name, objects := range scenarios(t) {
		for _, o := range objects {
			where := o.Metadata.Namespace
			if o.Kind == "Namespace" {
				where = o.Metadata.Name
			}
			if where != "folkmoot-"+name {
				t.Errorf("%s: %s %s is in namespace %q", name, o.Kind, o.Metadata.Name, where)
			}
		}
		for _, pod := range pods(objects) {
			for _, c := range pod.Spec.Containers {
				if !slices.Contains(c.Args, "--network="+name) {
					t.Errorf("%s: %s/%s is not of the network %s: %q", name, pod.Metadata.Name, c.Name, name, c.Args)
				}
				if c.Image != "localhost/folkmoot/moot:latest" || c.ImagePullPolicy != "IfNotPresent" {
					t.Errorf("%s: %s/%s runs %s, %s", name, pod.Metadata.Name, c.Name, c.Image, c.ImagePullPolicy)
				}
			}
		}
	}
}

// TestPodsAreRestricted holds the pods to the Pod Security Standard "restricted", but for hostNetwork, and the namespaces to saying so.
func TestPodsAreRestricted(t *testing.T) {
	for name, objects := range scenarios(t) {
		level := "restricted"
		for _, pod := range pods(objects) {
			s := pod.Spec
			if s.HostNetwork {
				level = "privileged"
			}
			if !s.SecurityContext.RunAsNonRoot || s.SecurityContext.RunAsUser == 0 || s.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
				t.Errorf("%s: %s runs as %+v", name, pod.Metadata.Name, s.SecurityContext)
			}
			if s.AutomountServiceAccountToken == nil || *s.AutomountServiceAccountToken {
				t.Errorf("%s: %s is given a token of the API server", name, pod.Metadata.Name)
			}
			if s.HostNetwork != (s.DNSPolicy == "ClusterFirstWithHostNet") {
				t.Errorf("%s: %s has hostNetwork %t and DNS policy %q", name, pod.Metadata.Name, s.HostNetwork, s.DNSPolicy)
			}
			for _, c := range s.Containers {
				sc := c.SecurityContext
				if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation || !sc.ReadOnlyRootFilesystem ||
					!slices.Equal(sc.Capabilities.Drop, []string{"ALL"}) || sc.Capabilities.Add != nil {
					t.Errorf("%s: %s/%s may do %+v", name, pod.Metadata.Name, c.Name, sc)
				}
			}
		}
		for _, o := range objects {
			if o.Kind == "Namespace" && o.Metadata.Labels["pod-security.kubernetes.io/enforce"] != level {
				t.Errorf("%s: the namespace enforces %q, want %s", name, o.Metadata.Labels, level)
			}
		}
	}
}

// TestPortsAreOnesOwn wants no port twice in one network namespace: in a pod, or, as they may meet on a node, in all with hostNetwork.
func TestPortsAreOnesOwn(t *testing.T) {
	listened := regexp.MustCompile(`^--(?:listen=/ip4/0\.0\.0\.0|api-listen=127\.0\.0\.1)[:/](?:tcp/|udp/)?(\d+)`)
	for name, objects := range scenarios(t) {
		host := map[string]bool{}
		for _, pod := range pods(objects) {
			taken := map[string]bool{}
			if pod.Spec.HostNetwork {
				taken = host
			}
			for _, c := range pod.Spec.Containers {
				own := map[string]bool{}
				for _, arg := range c.Args {
					if m := listened.FindStringSubmatch(arg); m != nil {
						own[m[1]] = true
					}
				}
				if len(own) == 0 {
					own = map[string]bool{"4242": true, "7070": true}
				}
				for port := range own {
					if taken[port] {
						t.Errorf("%s: port %s of %s/%s is another's too", name, port, pod.Metadata.Name, c.Name)
					}
					taken[port] = true
				}
			}
		}
	}
}

// TestNoAddressIsFixed wants no IP in what a scenario consists of but those that mean "any" and "oneself".
func TestNoAddressIsFixed(t *testing.T) {
	ip := regexp.MustCompile(`\b\d{1,3}(\.\d{1,3}){3}\b`)
	files, err := filepath.Glob("*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range ip.FindAllString(string(text), -1) {
			if !strings.HasSuffix(name, ".md") && found != "0.0.0.0" && found != "127.0.0.1" {
				t.Errorf("%s names the address %s", name, found)
			}
		}
	}
}

// TestEveryScenarioIsWhole wants its text, picture and check.
func TestEveryScenarioIsWhole(t *testing.T) {
	for name := range scenarios(t) {
		for _, file := range []string{"README.md", name + ".svg", "check", "pods.yaml"} {
			info, err := os.Stat(filepath.Join(name, file))
			if err != nil {
				t.Error(err)
			} else if file == "check" && info.Mode()&0o111 == 0 {
				t.Errorf("%s/check can't be run", name)
			}
		}
	}
}
