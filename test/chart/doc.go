// Package chart tests the Helm chart in deploy/helm/folkmoot, and the manifests in deploy/scenarios, without a cluster: what is rendered for many values is held
// to the schemas of the Kubernetes releases that are maintained, and to what it is meant to do. The tests that render have the build tag kubernetes, since they
// need helm, which package cluster builds. "make chart" runs them all.
package chart
