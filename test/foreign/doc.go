// Package foreign tests the network against Kademlia peers that are not of this project: go-libp2p-kad-dht, unmodified, and with the build tag e2e js-libp2p, which needs
// Node.js, npm and the npm registry.
package foreign
