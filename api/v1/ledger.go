package v1

import "time"

// TransactionType is the media type of an encoded transaction of the ledger.
const TransactionType = "application/vnd.folkmoot.transaction"

// MaxTransaction is the most bytes of an encoded transaction.
const MaxTransaction = 64 << 10

// What a submission waits for.
const (
	// WaitAccepted: this node has checked the transaction and passed it on.
	WaitAccepted = "accepted"
	// WaitCommitted: the transaction is in a block.
	WaitCommitted = "committed"
)

// States of a transaction.
const (
	TransactionPending   = "pending"
	TransactionCommitted = "committed"
)

// Ledger is the answer of GET /v1/ledger: how the ledger fares at this node.
type Ledger struct {
	Network string    `json:"network" doc:"Id of the network, the hash of its genesis, in hexadecimal"`
	Name    string    `json:"name" doc:"Name of the network"`
	Height  int64     `json:"height" doc:"Height of the last block"`
	Time    time.Time `json:"time" doc:"Time of the last block, which its validators agreed on"`
	Root    string    `json:"root" doc:"Root of the state after the last block"`
	Trust   string    `json:"trust,omitempty" doc:"HEIGHT:HASH of the last block, which receipts can be checked against"`
	Syncing bool      `json:"syncing" doc:"The node fetches what others have"`
	// Fetching is there while Syncing.
	Fetching  *Fetching `json:"fetching,omitempty" doc:"How the fetching goes on"`
	First     int64     `json:"first" doc:"The lowest block that this node keeps"`
	Snapshots []int64   `json:"snapshots,omitempty" nullable:"false" doc:"Heights of the snapshots that nodes which come later can fetch here, ascending"`
	Peers     int       `json:"peers" doc:"Peers that this node keeps the ledger with"`
	// Validator is the key that this node votes with, if it has one.
	Validator string `json:"validator,omitempty" doc:"Key that this node votes with"`
	Power     uint64 `json:"power" doc:"Voting power of this node's key"`
	Total     uint64 `json:"total_power" doc:"Voting power of all validators"`
	Rules     *Rules `json:"rules,omitempty" doc:"Which rules blocks follow"`
	Problem   string `json:"problem,omitempty" doc:"Why the ledger does not go on, or why this node does not vote"`
}

// Rules are versions of the ledger's rules. A node stops before a block whose rules its program doesn't know.
type Rules struct {
	Version uint32 `json:"version" doc:"Version that the next block follows"`
	Known   uint32 `json:"known" doc:"The newest version that this node's program knows"`
	Next    uint32 `json:"next,omitempty" doc:"Version that was voted for; absent: none"`
	From    int64  `json:"from,omitempty" doc:"The first block that follows Next"`
}

// Fetching is how a node that lacks blocks gets them, or the state after them.
type Fetching struct {
	Stage    string `json:"stage" enum:"peers,state,blocks" doc:"peers: asks others how far they are; state: fetches a snapshot of the state; blocks: fetches blocks"`
	Target   int64  `json:"target,omitempty" doc:"The height that others have, as far as is known"`
	Snapshot int64  `json:"snapshot,omitempty" doc:"The block after which the state was as the snapshot has it"`
	Parts    int    `json:"parts,omitempty" doc:"How many parts the snapshot has"`
	Fetched  int    `json:"fetched,omitempty" doc:"How many of them are there"`
}

// Transaction is a transaction of the ledger as a document: what GET answers, and what several parties sign in turn. Numbers that may pass 2^53 are strings.
type Transaction struct {
	Network    string          `json:"network" doc:"Id of the network, in hexadecimal"`
	ValidUntil time.Time       `json:"valid_until" doc:"From this block time on no block may hold it"`
	Slot       *Slot           `json:"slot,omitempty"`
	Salt       string          `json:"salt" doc:"A number that tells alike transactions apart"`
	Memo       string          `json:"memo,omitempty"`
	MemoBase64 []byte          `json:"memo_base64,omitempty" doc:"The memo, when it is not UTF-8"`
	Operations []Operation     `json:"operations" nullable:"false"`
	Signers    []Authorization `json:"signers,omitempty" nullable:"false" doc:"Who has signed, in ascending order of accounts"`
}

// Slot is a place of an account for a transaction that may wait for long.
type Slot struct {
	Account  string `json:"account"`
	Number   uint8  `json:"number"`
	Sequence uint32 `json:"sequence" doc:"How many transactions have used the slot before"`
}

// Authorization is the word of one account for a transaction.
type Authorization struct {
	Account    string      `json:"account"`
	Threshold  uint8       `json:"threshold" doc:"How many of the keys must sign"`
	Keys       []string    `json:"keys" nullable:"false" doc:"The account's present keys, in ascending order"`
	Signatures []Signature `json:"signatures" nullable:"false"`
}

// Signature is one of a key.
type Signature struct {
	Key       uint8  `json:"key" doc:"Index of the key"`
	Signature []byte `json:"signature"`
}

// Operation is one of the things that a transaction does. Which fields mean something depends on its kind.
type Operation struct {
	Kind      string   `json:"kind" enum:"define-asset,issue,transfer,retire,anchor,set-keys,admit,expel,propose,vote,invite,revoke,replace-member"`
	Asset     string   `json:"asset,omitempty" doc:"CODE@ISSUER"`
	From      string   `json:"from,omitempty" doc:"Account that pays, of transfer and retire"`
	To        string   `json:"to,omitempty" doc:"Account that receives, of issue and transfer"`
	Amount    string   `json:"amount,omitempty" doc:"In the asset's smallest unit"`
	Scale     uint8    `json:"scale,omitempty" doc:"Decimal places, of define-asset"`
	Cap       string   `json:"cap,omitempty" doc:"The most there may be, in the smallest unit, of define-asset; absent: no cap"`
	By        string   `json:"by,omitempty" doc:"Account that speaks, of all but those that move an asset, and replace-member"`
	Digest    string   `json:"digest,omitempty" doc:"SHA-256 of what is anchored"`
	Note      string   `json:"note,omitempty"`
	Threshold uint8    `json:"threshold,omitempty" doc:"Of set-keys"`
	Keys      []string `json:"keys,omitempty" doc:"Of set-keys"`
	Member    string   `json:"member,omitempty" doc:"Peer id, of admit, expel and replace-member"`
	Successor string   `json:"successor,omitempty" doc:"Peer id in the place of the member, of replace-member"`
	Invite    string   `json:"invite,omitempty" doc:"Account of the invite's key, of invite and revoke"`
	Uses      uint32   `json:"uses,omitempty" doc:"How many peers the invite admits"`
	Until     string   `json:"until,omitempty" doc:"Until when the invite is good, in milliseconds since 1970"`
	Name      string   `json:"name,omitempty"`
	Validator string   `json:"validator,omitempty" doc:"Key of the validator, of propose"`
	Operator  string   `json:"operator,omitempty" doc:"Account that speaks for the validator, of propose"`
	Power     string   `json:"power,omitempty" doc:"Voting power, of propose"`
	Rules     uint32   `json:"rules,omitempty" doc:"Version of the rules, of propose"`
	Height    int64    `json:"height,omitempty" doc:"Height from which on the rules hold, of propose"`
	Proposal  string   `json:"proposal,omitempty" doc:"Id of the proposal, of vote"`
}

// TransactionStatus says where a transaction is and what became of it.
type TransactionStatus struct {
	ID    string `json:"id"`
	State string `json:"state" enum:"pending,committed"`
	// The rest is there once it is committed.
	Height    int64     `json:"height,omitempty"`
	Time      time.Time `json:"time,omitzero" doc:"Time of the block"`
	Applied   bool      `json:"applied" doc:"The transaction did what it says. Committed and not applied: it failed and did nothing"`
	Failure   string    `json:"failure,omitempty" doc:"Why it failed"`
	Operation int       `json:"operation,omitempty" doc:"Number of the operation that failed, from 1"`
}

// CommittedTransaction is a transaction with what became of it: an answer of GET /v1/ledger/transactions/ID, and an entry of histories and blocks.
type CommittedTransaction struct {
	TransactionStatus
	Transaction Transaction `json:"transaction"`
}

// Account is the answer of GET /v1/ledger/accounts/ID.
type Account struct {
	ID string `json:"id"`
	// Keys are absent while the account has its first ones, of which the id is the hash.
	Threshold uint8     `json:"threshold,omitempty" doc:"How many of the keys must sign; absent with the keys"`
	Keys      []string  `json:"keys,omitempty" doc:"The keys that were put in place of the first; absent: the first"`
	Slots     []uint32  `json:"slots" nullable:"false" doc:"How often each slot was used"`
	Balances  []Balance `json:"balances" nullable:"false"`
	Height    int64     `json:"height" doc:"The block after which it was so"`
}

// Balance is what an account has of an asset.
type Balance struct {
	Asset  string `json:"asset" doc:"CODE@ISSUER"`
	Amount string `json:"amount" doc:"In the asset's smallest unit"`
	Scale  uint8  `json:"scale" doc:"Decimal places of the asset"`
}

// History is the answer of GET /v1/ledger/accounts/ID/history: newest first.
type History struct {
	Transactions []CommittedTransaction `json:"transactions" nullable:"false"`
	Cursor       string                 `json:"cursor,omitempty" doc:"Pass it to get the next page; absent on the last"`
	First        int64                  `json:"first,omitempty" doc:"The lowest block that this node keeps: what was before is not told; absent: nothing is missing"`
}

// Anchors is the answer of GET /v1/ledger/anchors/DIGEST: oldest first.
type Anchors struct {
	Transactions []CommittedTransaction `json:"transactions" nullable:"false"`
}

// MaxAnchors is the most transactions that are told of one digest.
const MaxAnchors = 50

// Asset is the answer of GET /v1/ledger/assets/ASSET.
type Asset struct {
	ID     string `json:"id" doc:"CODE@ISSUER"`
	Scale  uint8  `json:"scale" doc:"Decimal places"`
	Cap    string `json:"cap,omitempty" doc:"The most there may be, in the smallest unit; absent: no cap"`
	Supply string `json:"supply" doc:"How much there is, in the smallest unit"`
}

// Block is the answer of GET /v1/ledger/blocks/HEIGHT.
type Block struct {
	Height       int64                  `json:"height"`
	Hash         string                 `json:"hash"`
	Time         time.Time              `json:"time,omitzero" doc:"Absent of a block without transactions"`
	Transactions []CommittedTransaction `json:"transactions" nullable:"false"`
}

// Validators is the answer of GET /v1/ledger/validators.
type Validators struct {
	Validators []Validator `json:"validators" nullable:"false" doc:"Those with power, in the order of their keys"`
	Proposals  []Proposal  `json:"proposals" nullable:"false" doc:"What is voted on"`
	Total      uint64      `json:"total_power"`
	// Window is less than 100 while there are fewer blocks, or this node has fewer.
	Window int `json:"window" doc:"Of how many of the last blocks it is told who signed: at most 100, those of which this node has the signatures"`
}

// Validator is one with voting power.
type Validator struct {
	Key      string `json:"key"`
	Power    uint64 `json:"power"`
	Operator string `json:"operator" doc:"Account that speaks for it"`
	Blocks   int    `json:"blocks" doc:"In how many blocks of the window it had power"`
	Signed   int    `json:"signed" doc:"How many of these hold its signature. A validator that is slow is missed in some though it voted"`
}

// Proposal is one that is voted on.
type Proposal struct {
	ID       string    `json:"id"`
	Proposes Operation `json:"proposes"`
	Until    time.Time `json:"until" doc:"Block time until which it is open"`
	Votes    []string  `json:"votes" nullable:"false" doc:"Operators that are for it"`
}

// SubmitOptions are those of POST /v1/ledger/transactions.
type SubmitOptions struct {
	// Wait is WaitAccepted or WaitCommitted; empty: WaitCommitted.
	Wait string
}

// MaxHistory is the most transactions in one page of a history.
const MaxHistory = 200

// HistoryOptions are those of GET /v1/ledger/accounts/ID/history.
type HistoryOptions struct {
	Cursor string
	// Limit is at most MaxHistory; 0: 50.
	Limit int
}
