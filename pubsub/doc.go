// Package pubsub carries messages by topic: what a member publishes reaches every member that follows the topic at that time. Nothing is kept for later.
//
// It is gossipsub (libp2p's specification pubsub/gossipsub, version 1.2) under the network's own protocol id. Each topic has a mesh of about 6 neighbours a peer, through which messages
// are passed on once; what somebody has missed is asked for after the gossip of the next seconds. Every message is signed by its author and checked by whoever passes it on.
//
// # Asleep until it is used
//
// gossipsub keeps a stream to and from each neighbour and wakes once a second. A Service begins with that when this node, or a neighbour, first has a use for it: a network without
// topics pays nothing.
//
// # Large networks
//
// gossipsub passes messages on between followers that are connected. Where not everybody is connected to everybody, the followers of a topic meet at the peers whose ids are nearest to it,
// which pass its messages on though they don't follow it (Config.Meet).
package pubsub
