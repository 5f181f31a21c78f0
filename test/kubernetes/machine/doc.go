// Package machine makes namespaces of this machine look like a computer of their own: with its network, processes, mounts, host
// name and cgroups. What runs there is started again when it ends; killing the first process is pulling the plug.
//
// Three programs work together, all of them stages of one: "start" leaves a "keep" behind that outlives it, which owns "init",
// the computer's first process. No process of a computer outlives its init, and init does not outlive its keeper.
package machine
