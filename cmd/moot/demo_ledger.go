package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"time"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/accounts"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
)

const (
	// maxDemoValidators is how many of a demo's peers vote on blocks; the others follow.
	maxDemoValidators = 4
	// What the demo's ledger has in it: a mint makes an asset and gives some to ann, who pays bob.
	demoMint, demoAnn, demoBob = "mint", "ann", "bob"
	demoCode                   = "EUR"
	demoScale                  = 2
	demoIssued, demoPaid       = 100_00, 12_50
)

// demoLedger is what a demo did on its ledger.
type demoLedger struct {
	// Transaction is the id of ann's payment, and Height the block that it is in.
	Transaction string `json:"transaction"`
	Height      int64  `json:"height"`
	// Accounts are by name; their keys are in the home of the first peer.
	Accounts map[string]string `json:"accounts"`
	Asset    string            `json:"asset"`
}

// foundDemo makes the homes of a demo's peers nodes of a network that some of them found.
func foundDemo(dir string, peers int) error {
	var validators []ledger.GenesisValidator
	for i := range min(peers, maxDemoValidators) {
		v, err := ownValidator(demoHome(dir, i))
		if err != nil {
			return err
		}
		validators = append(validators, v)
	}
	g, err := node.NewGenesis("demo", validators)
	for i := 0; i < peers && err == nil; i++ {
		_, err = node.JoinHome(demoHome(dir, i), g)
	}
	return err
}

// fillDemo puts something into the ledger, through the first node, with keys that are left in its home.
func fillDemo(ctx context.Context, dir string, n *node.Node) (*demoLedger, error) {
	folder := accounts.Folder(filepath.Join(demoHome(dir, 0), node.AccountsDir))
	d := &demoLedger{Accounts: make(map[string]string)}
	own := make(map[string]accounts.Own)
	for _, name := range []string{demoMint, demoAnn, demoBob} {
		one, err := folder.Create(name, nil)
		if err != nil {
			return nil, err
		}
		own[name], d.Accounts[name] = one, one.ID().String()
	}
	mint, ann, bob := own[demoMint], own[demoAnn], own[demoBob]
	asset := ledger.AssetID{Code: demoCode, Issuer: mint.ID()}
	if err := folder.Add(demoCode, asset.String()); err != nil {
		return nil, err
	}
	d.Asset = asset.String()
	issue := []ledger.Operation{
		&ledger.DefineAsset{Asset: asset, Scale: demoScale}, &ledger.Issue{Asset: asset, To: ann.ID(), Amount: ledger.NewAmount(demoIssued)},
	}
	if err := d.submit(ctx, folder, n, mint, issue...); err != nil {
		return nil, err
	}
	return d, d.submit(ctx, folder, n, ann, &ledger.Transfer{Asset: asset, From: ann.ID(), To: bob.ID(), Amount: ledger.NewAmount(demoPaid)})
}

// submit has an account do something, waits until it is in a block, and notes where that is.
func (d *demoLedger) submit(ctx context.Context, folder accounts.Folder, n *node.Node, by accounts.Own, operations ...ledger.Operation) error {
	key, err := folder.Open(by.Name, nil)
	if err != nil {
		return err
	}
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return err
	}
	t := &ledger.Transaction{Body: ledger.Body{ValidUntil: time.Now().Add(demoPatience).UnixMilli(), Salt: binary.BigEndian.Uint64(salt[:]), Operations: operations}}
	keys := accounts.KeySet(by.Key)
	if err := t.Sign(n.Ledger().Network(), by.ID(), &keys, key); err != nil {
		return err
	}
	data, err := ledger.EncodeTransaction(t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	s, err := n.Ledger().Submit(ctx, data)
	if err != nil {
		return err
	}
	place, err := s.Wait(ctx)
	if err == nil && place.Result.Code != ledger.Applied {
		err = fault.New(fault.Internal, "transaction %s: %s", s.ID, place.Result.Code)
	}
	d.Transaction, d.Height = s.ID.String(), place.Height
	return err
}

// lines returns commands that show the ledger, for another terminal, without the program's name.
func (d *demoLedger) lines(home string) []string {
	at := "--home " + shellQuote(home) + " ledger "
	return []string{
		at + "account list",
		at + "balances " + demoBob,
		at + "transfer 2.50 " + demoCode + " --from " + demoBob + " --to " + demoAnn,
		at + "genesis > genesis.json",
		at + "tx " + d.Transaction + " --receipt > receipt.json",
		"ledger verify receipt.json --genesis genesis.json",
	}
}

// summary says what the demo did.
func (d *demoLedger) summary() string {
	return fmt.Sprintf("ann paid bob %s %s in block %d", ledger.NewAmount(demoPaid).Format(demoScale), demoCode, d.Height)
}
