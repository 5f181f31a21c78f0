package v1

import "time"

// Members is the answer of GET /v1/members: who may take part in a network for members only, as this node knows it.
type Members struct {
	Height  int64    `json:"height" doc:"Block of the ledger after which it was so"`
	Members []Member `json:"members" nullable:"false" doc:"Members and former ones, by peer id"`
}

// Member is a peer that was admitted.
type Member struct {
	ID    string    `json:"id" doc:"Peer id"`
	Name  string    `json:"name,omitempty"`
	By    string    `json:"admitted_by" doc:"Account that admitted it: an operator's or an invite's, or its own"`
	Until time.Time `json:"until,omitzero" doc:"When it was expelled or replaced; absent: it is a member"`
	Self  bool      `json:"self,omitempty" doc:"It is this node"`
}

// States of an invite.
const (
	InviteOpen    = "open"
	InviteUsed    = "used"
	InviteExpired = "expired"
)

// Invites is the answer of GET /v1/ledger/invites.
type Invites struct {
	Invites []Invite `json:"invites" nullable:"false"`
}

// Invite is one that was made and not revoked.
type Invite struct {
	ID    string    `json:"id" doc:"Account of the invite's key"`
	State string    `json:"state" enum:"open,used,expired"`
	By    string    `json:"by" doc:"Account that made it"`
	Uses  uint32    `json:"uses" doc:"How many peers it may admit"`
	Left  uint32    `json:"left" doc:"How many of these it has not admitted"`
	Until time.Time `json:"until" doc:"From then on it admits nobody"`
	Note  string    `json:"note,omitempty"`
}
