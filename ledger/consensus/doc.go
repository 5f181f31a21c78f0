// Package consensus runs CometBFT on the node's one libp2p host: it agrees with the network's other members on an order of transactions, and has an
// application execute them.
//
// The parts are CometBFT's own, put together here as its node does, without its RPC, its network or its configuration files. What surrounds them
// mends what would harm a node that has other work than consensus:
//
//   - gate is the host as CometBFT sees it;
//   - kv keeps its databases in pebble;
//   - signer holds the validator's key;
//   - guard.go stands between CometBFT and the application and databases: where CometBFT would end the process, the engine fails instead, and the node goes on
//     with its records.
//
// An Engine is made by New and lives as long as its Run. When CometBFT has stopped for an error of its own, Failed is closed and Health says why; what was
// agreed on can still be read.
package consensus
