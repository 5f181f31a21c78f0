// Command kubernetes starts and stops a real Kubernetes of two nodes on this machine, without a container registry, to try
// Folkmoot on it. See docs/kubernetes-harness.md.
package main
