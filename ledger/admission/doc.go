// Package admission knows who is a member of a network, and makes strangers members.
//
// Members are state of the ledger. A Book has them as this node knows them: from its own copy of the ledger, or from receipts that prove the whole list, which members hand on (Follower). It is the swarm's gate, and outlasts restarts
// and the loss of the ledger.
//
// A stranger gets no further than the Lobby, on a connection of its own (swarm.Reception). There it can do three things: ask what an invite is to, which takes the invite's secret; hand in the transaction that admits it, which
// the invite's key has signed; and show a receipt that it is a member already, to a node that does not know so yet. The secret itself never leaves the line that one person sent to another (Line), and uses are
// counted on the ledger: however many members are asked at once, an invite admits no more peers than it says.
package admission
