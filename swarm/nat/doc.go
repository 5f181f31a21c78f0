// Package nat finds ways to a node that others can't just dial: one behind a NAT or a firewall.
//
//   - It learns at which addresses others see the node (observe.go), and asks them which of its addresses they can dial (judge.go, check.go). From that follows whether the node is
//     reachable.
//   - A node that is not takes a reservation at members that relay, and tells others the addresses that lead through them (reserve.go).
//   - A node that is reachable from everywhere, or is told to, relays for members (relay.go), within quotas (quota.go).
//   - A relayed connection is replaced by a direct one where the NATs let that through (upgrade.go).
//
// Relayed connections carry everything: they are not "limited" in the sense of libp2p, whose limited connections refuse ordinary streams.
package nat
