// Package swim decides which peers of the network are alive. It is the failure detector of SWIM (Das, Gupta, Motivala,
// "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002) with the extensions of Lifeguard (Dadgar,
// Phillips, Currey, arXiv 1707.00788), written as a state machine: it has no I/O, no clock and no goroutines, and its randomness is
// handed in, so that whole networks of machines are simulated in one goroutine and every run can be repeated.
//
// The caller feeds a Machine what happened (Tick, Receive, Answered, Failed, ...), then takes the Actions that it asks
// for, such as probing a peer, and carries them out.
//
// It differs from SWIM in whom it believes:
//
//   - What others say of a peer never changes that peer's state here. It makes the machine probe the accused, and each node
//     comes to its own verdict. At most, others who speak for themselves make a verdict quicker that the
//     node's own failed probes have begun. So a peer that spreads false deaths harms nobody.
//   - What a peer says of itself (a Claim) is signed by it, and a claim with a higher incarnation replaces a lower one. A peer that hears that it is
//     suspected refutes with a higher incarnation; that clears a suspicion wherever it is heard, because only a peer that runs can
//     sign it. So nobody can announce another's absence, move it to another zone or forge its addresses.
//   - A peer that is only heard of is a candidate. It becomes a member by answering this node itself, over a
//     connection whose handshake has proven its identity, or in a large network by a signed proof that a neighbour brings (see voucher.go).
//   - A peer that says that it has left for good is forgotten at once, and its departure is remembered for a while, so that older claims of it
//     that still go round don't bring it back.
//   - Peers that are away or dead stay in the view until forgotten, and are probed in a rotation of their own, so that
//     they are seen again when they come back or a partition heals.
//
// On a node that is short of processor time all timeouts are longer, by how late its own ticks are, and fewer candidates are probed at once (see strain.go): a network comes together on whatever there is, only
// more slowly.
//
// In large networks it does less than SWIM: above Timing.LargeNetwork members it talks mostly to MaxNeighbours of them, and of more than Config.MaxView members it keeps
// only a part (see cut).
package swim
