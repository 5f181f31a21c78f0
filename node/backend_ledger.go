package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/ledgerdoc"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/receipt"
	"github.com/folkmoot/folkmoot/ledger/replica"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// ledgerBackend shows a node's copy of the ledger to the HTTP API.
type ledgerBackend struct {
	n *Node
	r *replica.Replica
}

var _ api.Ledger = ledgerBackend{}

// ledgerAPI returns what the HTTP API asks of the ledger, nil when the node keeps none.
func (n *Node) ledgerAPI() api.Ledger {
	if n.ledger == nil {
		return nil
	}
	return ledgerBackend{n, n.ledger}
}

func (b ledgerBackend) Status(context.Context) (v1.Ledger, error) {
	tip, engine := b.r.Tip(), b.r.Engine()
	d := v1.Ledger{
		Network: b.r.Network().String(), Name: b.n.Network(), Height: tip.Height, Time: time.UnixMilli(tip.Time).UTC(), Root: ledger.Hash(tip.Root).String(), Syncing: engine.Syncing, Peers: engine.Members,
	}
	if hash, err := b.r.BlockHash(tip.Height); err == nil {
		d.Trust = fmt.Sprintf("%d:%s", tip.Height, hash)
	}
	first, err := b.r.First()
	if err != nil {
		return d, err
	}
	d.First, d.Snapshots = first, b.r.Snapshots()
	if f := engine.Fetching; engine.Syncing {
		d.Fetching = &v1.Fetching{Stage: string(f.Stage), Target: f.Target, Snapshot: f.Snapshot, Parts: f.Chunks, Fetched: f.Applied}
	}
	validators, err := b.r.Validators()
	if err != nil {
		return d, err
	}
	for _, v := range validators {
		d.Total += v.Power
		if b.n.validator != nil && v.Key == b.n.validator.PublicKey() {
			d.Power = v.Power
		}
	}
	if b.n.validator != nil {
		d.Validator = ledger.PublicKey(b.n.validator.PublicKey()).String()
	}
	rules, err := b.r.Rules()
	if err != nil {
		return d, err
	}
	d.Rules = ledgerdoc.FromRules(&rules, tip.Height)
	if err := b.r.Health(); engine.Barred != nil && engine.Failure == nil {
		d.Problem = engine.Barred.Error() + ` (see "moot help ledger validators resume")`
	} else if err != nil {
		d.Problem = err.Error()
	} else if engine.Behind > 0 && d.Power > 0 {
		d.Problem = fmt.Sprintf("this node's clock is %s behind the ledger's: it votes for nothing until its clock is right", engine.Behind.Round(time.Second))
	} else if err := rules.Known(max(rules.Height, tip.Height+1)); err != nil {
		d.Problem = err.Error()
	}
	return d, nil
}

func (b ledgerBackend) Genesis(context.Context) ([]byte, error) {
	return json.MarshalIndent(b.r.Genesis(), "", "  ")
}

func (b ledgerBackend) Submit(ctx context.Context, transaction []byte, committed bool) (v1.TransactionStatus, error) {
	height := b.r.Tip().Height
	s, err := b.r.Enqueue(ctx, transaction)
	if err != nil {
		return v1.TransactionStatus{}, err
	}
	return b.follow(ctx, s, committed, height)
}

func (b ledgerBackend) SubmitBatch(ctx context.Context, transactions [][]byte, committed bool) ([]api.Submitted, error) {
	height := b.r.Tip().Height
	list, waiting := make([]api.Submitted, len(transactions)), make([]*replica.Submission, len(transactions))
	for i, t := range transactions {
		if ctx.Err() != nil {
			list[i].Err = fault.New(fault.Unavailable, "the time was over before the transaction was looked at: hand in fewer at once")
			continue
		}
		waiting[i], list[i].Err = b.r.Enqueue(ctx, bytes.Clone(t))
	}
	for i, s := range waiting {
		if s != nil {
			list[i].Status, list[i].Err = b.follow(ctx, s, committed, height)
		}
	}
	return list, nil
}

// follow waits until a transaction is in a block, or until this node has passed it on. It was handed in when the last block had the given height.
func (b ledgerBackend) follow(ctx context.Context, s *replica.Submission, committed bool, height int64) (v1.TransactionStatus, error) {
	if err := s.Taken(ctx); err != nil {
		return v1.TransactionStatus{}, err
	}
	if !committed {
		select {
		case <-s.Done():
		default:
			return v1.TransactionStatus{ID: s.ID.String(), State: v1.TransactionPending}, nil
		}
	}
	place, err := s.Wait(ctx)
	if err != nil {
		if ctx.Err() != nil && b.r.Tip().Height == height { // with a quorum, one would have been made for it
			err = fmt.Errorf("no quorum: no block was made meanwhile: %w", err)
		}
		return v1.TransactionStatus{}, err
	}
	return status(place), nil
}

// status says where a transaction is and what became of it.
func status(p replica.Place) v1.TransactionStatus {
	d := v1.TransactionStatus{ID: p.Result.ID.String(), State: v1.TransactionCommitted, Height: p.Height, Time: time.UnixMilli(p.Time).UTC(), Applied: p.Result.Code == ledger.Applied}
	if !d.Applied {
		d.Failure, d.Operation = p.Result.Code.String(), int(p.Result.Operation)+1
	}
	return d
}

func (b ledgerBackend) committed(t *ledger.Transaction, p replica.Place) v1.CommittedTransaction {
	return v1.CommittedTransaction{TransactionStatus: status(p), Transaction: ledgerdoc.FromTransaction(b.r.Network(), t)}
}

func (b ledgerBackend) Transaction(ctx context.Context, id, of string) (v1.CommittedTransaction, error) {
	hash, err := ledger.ParseHash(id)
	if err != nil {
		return v1.CommittedTransaction{}, err
	}
	if of != "" {
		network, err := ledger.ParseHash(of)
		if err != nil {
			return v1.CommittedTransaction{}, err
		}
		if network != b.r.Network() {
			t, place, err := b.n.predecessorTransaction(ctx, network, ledger.TransactionID(hash))
			if err != nil {
				return v1.CommittedTransaction{}, err
			}
			return v1.CommittedTransaction{TransactionStatus: status(place), Transaction: ledgerdoc.FromTransaction(network, t)}, nil
		}
	}
	t, place, err := b.r.Transaction(ledger.TransactionID(hash))
	if err != nil {
		return v1.CommittedTransaction{}, err
	}
	return b.committed(t, place), nil
}

func (b ledgerBackend) TransactionReceipt(ctx context.Context, id string, since int64) ([]byte, error) {
	hash, err := ledger.ParseHash(id)
	if err != nil {
		return nil, err
	}
	return encode(b.r.TransactionReceipt(ctx, ledger.TransactionID(hash), since))
}

func (b ledgerBackend) BalanceReceipt(ctx context.Context, account, asset string, since int64) ([]byte, error) {
	a, err := ledger.ParseAccountID(account)
	if err != nil {
		return nil, err
	}
	of, err := ledger.ParseAssetID(asset)
	if err != nil {
		return nil, err
	}
	return encode(b.r.BalanceReceipt(ctx, a, of, since))
}

func encode(r *receipt.Receipt, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return r.Encode()
}

func (b ledgerBackend) Account(_ context.Context, id string) (v1.Account, error) {
	account, err := ledger.ParseAccountID(id)
	if err != nil {
		return v1.Account{}, err
	}
	a, err := b.r.Account(account)
	if err != nil {
		return v1.Account{}, err
	}
	d := v1.Account{ID: account.String(), Slots: a.Slots[:], Balances: []v1.Balance{}, Height: a.Tip.Height}
	if a.KeySet != nil {
		d.Threshold = a.KeySet.Threshold
		for _, k := range a.KeySet.Keys {
			d.Keys = append(d.Keys, k.String())
		}
	}
	for _, one := range a.Balances {
		d.Balances = append(d.Balances, v1.Balance{Asset: one.Asset.String(), Amount: one.Amount.String(), Scale: one.Scale})
	}
	return d, nil
}

// defaultHistory is how many transactions a page of a history has unless it is said.
const defaultHistory = 50

func (b ledgerBackend) History(_ context.Context, id string, opts v1.HistoryOptions) (v1.History, error) {
	account, err := ledger.ParseAccountID(id)
	if err != nil {
		return v1.History{}, err
	}
	before, err := parseCursor(opts.Cursor)
	if err != nil {
		return v1.History{}, err
	}
	limit := opts.Limit
	if limit <= 0 || limit > v1.MaxHistory {
		limit = defaultHistory
	}
	list, err := b.r.History(account, before, limit)
	if err != nil {
		return v1.History{}, err
	}
	first, err := b.r.First()
	if err != nil {
		return v1.History{}, err
	}
	d := v1.History{Transactions: []v1.CommittedTransaction{}}
	if first > 1 {
		d.First = first
	}
	for _, e := range list {
		d.Transactions = append(d.Transactions, b.committed(e.Transaction, e.Place))
	}
	if len(list) == limit {
		last := list[len(list)-1].At
		d.Cursor = fmt.Sprintf("%d.%d", last.Height, last.Index)
	}
	return d, nil
}

func (b ledgerBackend) Anchors(_ context.Context, digest string) (v1.Anchors, error) {
	d := v1.Anchors{Transactions: []v1.CommittedTransaction{}}
	hash, err := ledger.ParseHash(digest)
	if err != nil {
		return d, err
	}
	list, err := b.r.Anchors(hash, v1.MaxAnchors)
	if err != nil {
		return d, err
	}
	if len(list) == 0 {
		return d, fault.New(fault.NotFound, "%s is anchored in no block that this node keeps", hash)
	}
	for _, e := range list {
		d.Transactions = append(d.Transactions, b.committed(e.Transaction, e.Place))
	}
	return d, nil
}

// parseCursor reads where a page of a history ends; empty is the end.
func parseCursor(text string) (state.Position, error) {
	if text == "" {
		return state.Position{}, nil
	}
	height, index, _ := strings.Cut(text, ".")
	h, err1 := strconv.ParseInt(height, 10, 64)
	i, err2 := strconv.ParseUint(index, 10, 32)
	if err1 != nil || err2 != nil || h < 1 {
		return state.Position{}, fault.New(fault.Invalid, "cursor: %q is none that a page had", text)
	}
	return state.Position{Height: h, Index: uint32(i)}, nil
}

func (b ledgerBackend) Asset(_ context.Context, id string) (v1.Asset, error) {
	asset, err := ledger.ParseAssetID(id)
	if err != nil {
		return v1.Asset{}, err
	}
	a, err := b.r.Asset(asset)
	if err != nil {
		return v1.Asset{}, err
	}
	d := v1.Asset{ID: asset.String(), Scale: a.Scale, Supply: a.Supply.String()}
	if !a.Cap.IsZero() {
		d.Cap = a.Cap.String()
	}
	return d, nil
}

func (b ledgerBackend) Block(_ context.Context, height int64) (v1.Block, error) {
	if height == 0 {
		if height = b.r.Tip().Height; height == 0 {
			return v1.Block{}, fault.New(fault.NotFound, "there is no block yet")
		}
	}
	block, err := b.r.Block(height)
	if err != nil {
		return v1.Block{}, err
	}
	hash, err := b.r.BlockHash(height)
	if err != nil {
		return v1.Block{}, err
	}
	d := v1.Block{Height: height, Hash: hash.String(), Transactions: []v1.CommittedTransaction{}}
	if len(block.Transactions) > 0 {
		d.Time = time.UnixMilli(block.Time).UTC()
	}
	for i, t := range block.Transactions {
		d.Transactions = append(d.Transactions, b.committed(t, replica.Place{Height: height, Time: block.Time, Result: block.Results[i]}))
	}
	return d, nil
}

func (b ledgerBackend) Validators(context.Context) (v1.Validators, error) {
	d := v1.Validators{Validators: []v1.Validator{}, Proposals: []v1.Proposal{}}
	validators, err := b.r.Validators()
	if err != nil {
		return d, err
	}
	attendance, err := b.r.Attendance()
	if err != nil && fault.KindOf(err) != fault.Unavailable { // while the node opens its blocks nothing is counted
		return d, err
	}
	if attendance.First > 0 {
		d.Window = int(attendance.Last - attendance.First + 1)
	}
	for _, v := range validators {
		d.Total += v.Power
		part := attendance.Of[ledger.PublicKey(v.Key)]
		d.Validators = append(d.Validators, v1.Validator{Key: v.Key.String(), Power: v.Power, Operator: v.Operator.String(), Blocks: part.Blocks, Signed: part.Signed})
	}
	proposals, err := b.r.Proposals()
	if err != nil {
		return d, err
	}
	for _, p := range proposals {
		one := v1.Proposal{ID: p.ID.String(), Proposes: ledgerdoc.FromProposal(&p.Proposal), Until: time.UnixMilli(p.Until).UTC(), Votes: []string{}}
		one.Proposes.By = p.By.String()
		for _, vote := range p.Votes {
			one.Votes = append(one.Votes, vote.String())
		}
		d.Proposals = append(d.Proposals, one)
	}
	return d, nil
}
