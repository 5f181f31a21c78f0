// Package swarm opens streams between peers: it builds the one libp2p host of a node, with its identity, transports,
// security, limits and the gate that decides who may connect. Nothing else in the project builds libp2p's
// implementations.
package swarm
