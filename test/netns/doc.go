// Package netns builds small networks out of Linux network namespaces, for tests with real processes: hosts, links that
// they share, and routers between links, with IPv4 and IPv6 on each. Links can be divided, hosts lose packets, and routers translate addresses. It needs root and the ip program,
// iptables to lose packets, and nftables to translate.
//
// Everything is made in namespaces of its own, links included, so that the machine's own network is never touched. Names
// carry the id of the process that made them; New removes what former runs that crashed have left.
package netns
