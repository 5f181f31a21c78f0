// Package e2e tests the program end to end: real processes, most of them on hosts of their own that are network namespaces.
// The tests have the build tag e2e. They need Linux, root and the ip program; what a machine can't run is named with the
// reason, and is a failure where CI is true or MOOT_ALLOW_GAPS is 0.
package e2e
