package v1

import "time"

// HeaderIdempotencyKey is the header that tells a transfer that is asked for again from another one that says the same.
const HeaderIdempotencyKey = "Idempotency-Key"

// Bounds of an idempotency key, in characters: fewer could be chosen twice by accident.
const (
	MinIdempotencyKey = 16
	MaxIdempotencyKey = 64
)

// MaxTransferWindow is the longest time that a transfer which a node signs may wait for a block.
const MaxTransferWindow = time.Hour

// Signers is the answer of GET /v1/ledger/signers.
type Signers struct {
	Signers []Signer `json:"signers" nullable:"false" doc:"In the order in which the node was told of them; empty: the node signs for nobody"`
}

// Signer is a key that a node was told to sign transfers with.
type Signer struct {
	Name    string `json:"name" doc:"What the key is called at the node"`
	Account string `json:"account" doc:"The account that the key alone speaks for, until it is given other keys"`
	Key     string `json:"key" doc:"The public key, in hexadecimal"`
}

// Transfer is the body of POST /v1/ledger/transfers: a payment that the node is to sign. The same document with the same idempotency key is the same transaction, at this node and after it was started again.
type Transfer struct {
	Network    string    `json:"network" minLength:"64" maxLength:"64" doc:"Id of the ledger that is meant, in hexadecimal: at any other nothing is signed"`
	From       string    `json:"from" maxLength:"128" doc:"Account that pays, of which the node has enough keys"`
	To         string    `json:"to" maxLength:"128" doc:"Account that receives"`
	Asset      string    `json:"asset" maxLength:"128" doc:"CODE@ISSUER"`
	Amount     string    `json:"amount" maxLength:"39" doc:"In the asset's smallest unit, more than 0"`
	Memo       string    `json:"memo,omitempty" maxLength:"128" doc:"Up to 128 bytes for everybody to read"`
	ValidUntil time.Time `json:"valid_until" doc:"Block time from which on no block may hold it, at most an hour ahead. To ask again, send the same time again"`
}
