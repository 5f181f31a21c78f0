// Package e2e tests Folkmoot on a real Kubernetes: the chart, the scenarios, and what a network lives through there while it is in use. Its tests have the build tag
// kubernetes. They share one cluster of two nodes, which package cluster brings up and takes down, and run one after the other, each in namespaces of its own.
//
// With MOOT_KUBECONFIG set, the cluster of that file is used in place of one of our own. What needs power over its nodes is a gap there.
// With MOOT_KEEP_CLUSTER set the cluster stays up, and the next run takes it as it is.
package e2e
