package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/replica"
)

// validFor is how long a transaction may wait for a block: until then its outcome may be open.
const validFor = 10 * time.Minute

// account is one that one key speaks for.
type account struct {
	id   ledger.AccountID
	keys ledger.KeySet
	key  ed25519.PrivateKey
}

func newAccount() (account, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	keys := ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(public)}}
	return account{keys.ID(), keys, key}, err
}

// pay defines a currency, issues some of it and pays, all or nothing, and checks the receipt.
func pay(ctx context.Context, l *replica.Replica, out io.Writer) error {
	ann, err := newAccount() // a program that goes on keeps the key
	if err != nil {
		return err
	}
	bob, err := newAccount()
	if err != nil {
		return err
	}
	loaf := ledger.AssetID{Code: "LOAF", Issuer: ann.id}
	id, err := commit(ctx, l, ann,
		&ledger.DefineAsset{Asset: loaf, Scale: 2},
		&ledger.Issue{Asset: loaf, To: ann.id, Amount: ledger.NewAmount(100_00)},
		&ledger.Transfer{Asset: loaf, From: ann.id, To: bob.id, Amount: ledger.NewAmount(2_50)},
	)
	if err != nil {
		return fmt.Errorf("pay: %w", err)
	}
	fmt.Fprintf(out, "paid 2.50: transaction %s\n", id)
	r, err := l.TransactionReceipt(ctx, id, 0)
	if err != nil {
		return fmt.Errorf("the receipt of transaction %s: %w", id, err)
	}
	proven, err := r.Verify(light.Root{Genesis: l.Genesis()})
	if err != nil {
		return fmt.Errorf("check the receipt of transaction %s: %w", id, err)
	}
	fmt.Fprintf(out, "proven: %d of %d of the voting power signed\n", proven.Header.Signed, proven.Header.Power)
	return nil
}

// commit signs operations for an account, hands them in, and returns when they are in a block and were carried out.
func commit(ctx context.Context, l *replica.Replica, by account, operations ...ledger.Operation) (id ledger.TransactionID, err error) {
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return id, err
	}
	t := &ledger.Transaction{Body: ledger.Body{
		ValidUntil: time.Now().Add(validFor).UnixMilli(), Salt: binary.BigEndian.Uint64(salt[:]), Operations: operations,
	}}
	if err := t.Sign(l.Network(), by.id, &by.keys, by.key); err != nil {
		return id, fmt.Errorf("sign: %w", err)
	}
	encoded, err := ledger.EncodeTransaction(t)
	if err != nil {
		return id, err
	}
	s, err := l.Submit(ctx, encoded)
	if err != nil {
		return id, err
	}
	place, err := s.Wait(ctx)
	switch {
	case err != nil: // it may still come into a block until it is too late for it: ask with Find
		return s.ID, fmt.Errorf("transaction %s: %w", s.ID, err)
	case place.Result.Code != ledger.Applied:
		return s.ID, fault.New(fault.Conflict, "transaction %s is in block %d and did nothing: %s", s.ID, place.Height, place.Result.Code)
	}
	return s.ID, nil
}
