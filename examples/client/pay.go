package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/receipt"
)

const (
	// validFor is how long a payment may wait for a block: until then its outcome may be open.
	validFor = 10 * time.Minute
	// attempts is how often a payment is handed in whose answer is lost.
	attempts = 3
)

// payment is what is to be paid.
type payment struct{ keyFile, to, asset, amount, receiptFile string }

// pay transfers an amount, waits until that is in a block, and keeps the receipt, checked.
func pay(ctx context.Context, c *client.Client, p payment, out io.Writer) error {
	key, err := readKey(p.keyFile)
	if err != nil {
		return err
	}
	document, err := c.Genesis(ctx)
	if err != nil {
		return fmt.Errorf("ask for the genesis: %w", err)
	}
	genesis, err := ledger.ParseGenesis(document)
	if err != nil {
		return fmt.Errorf("read the genesis: %w", err)
	}
	t, err := transfer(ctx, c, p, key, genesis.ID())
	if err != nil {
		return err
	}
	done, err := handIn(ctx, c, t)
	if err != nil {
		return fmt.Errorf("transaction %s: %w", t.ID(genesis.ID()), err)
	}
	fmt.Fprintf(out, "paid %s: transaction %s is in block %d\n", p.amount, done.ID, done.Height)
	return keepReceipt(ctx, c, done.ID, genesis, p.receiptFile, out)
}

// transfer makes the transaction and signs it. The key stays in this program.
func transfer(ctx context.Context, c *client.Client, p payment, key ed25519.PrivateKey, network ledger.Hash) (*ledger.Transaction, error) {
	keys := ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(key.Public().(ed25519.PublicKey))}}
	asset, err := ledger.ParseAssetID(p.asset)
	if err != nil {
		return nil, fmt.Errorf("--asset: %w", err)
	}
	to, err := ledger.ParseAccountID(p.to)
	if err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	known, err := c.Asset(ctx, p.asset)
	if err != nil {
		return nil, fmt.Errorf("ask for the asset: %w", err)
	}
	amount, err := ledger.ParseAmount(p.amount, known.Scale)
	if err != nil {
		return nil, fmt.Errorf("--amount: %w", err)
	}
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, err
	}
	t := &ledger.Transaction{Body: ledger.Body{
		ValidUntil: time.Now().Add(validFor).UnixMilli(),
		Salt:       binary.BigEndian.Uint64(salt[:]), // tells payments apart that are otherwise the same
		Operations: []ledger.Operation{&ledger.Transfer{Asset: asset, From: keys.ID(), To: to, Amount: amount}},
	}}
	if err := t.Sign(network, keys.ID(), &keys, key); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return t, nil
}

// handIn hands a transaction in until an answer says what became of it. The same bytes happen once at most, so that they may be handed in again.
func handIn(ctx context.Context, c *client.Client, t *ledger.Transaction) (v1.TransactionStatus, error) {
	encoded, err := ledger.EncodeTransaction(t)
	if err != nil {
		return v1.TransactionStatus{}, err
	}
	var status v1.TransactionStatus
	for i := range attempts {
		status, err = c.SubmitTransaction(ctx, encoded, v1.SubmitOptions{Wait: v1.WaitCommitted})
		if fault.KindOf(err) != fault.Unavailable || i == attempts-1 {
			break
		}
		select { // a node that is started again needs a moment
		case <-time.After(time.Second << i):
		case <-ctx.Done():
			return status, err
		}
	}
	switch {
	case err != nil:
		return status, err
	case !status.Applied:
		return status, fault.New(fault.Conflict, "it is in block %d and did nothing: %s", status.Height, status.Failure)
	}
	return status, nil
}

// keepReceipt fetches the proof of a payment, checks it, and writes it to a file: it proves the payment to whoever has the genesis, without a node.
func keepReceipt(ctx context.Context, c *client.Client, id string, genesis *ledger.Genesis, file string, out io.Writer) error {
	document, err := c.TransactionReceipt(ctx, id, 0)
	if err != nil {
		return fmt.Errorf("ask for the receipt: %w", err)
	}
	r, err := receipt.Parse(document)
	if err != nil {
		return fmt.Errorf("read the receipt: %w", err)
	}
	proven, err := r.Verify(light.Root{Genesis: genesis})
	if err != nil {
		return fmt.Errorf("check the receipt: %w", err)
	}
	if got := proven.Result; got.ID.String() != id || got.Code != ledger.Applied {
		return fault.New(fault.Internal, "the receipt is of another transaction: %s, %s", got.ID, got.Code)
	}
	if err := os.WriteFile(file, document, 0o644); err != nil {
		return fmt.Errorf("keep the receipt: %w", err)
	}
	fmt.Fprintf(out, "proven: %d of %d of the voting power signed; the receipt is in %s\n", proven.Header.Signed, proven.Header.Power, file)
	return nil
}

// readKey reads a key in PKCS #8 as PEM, after lines that begin with #.
func readKey(file string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New(fault.Invalid, "read the key: %w", err)
	}
	for bytes.HasPrefix(data, []byte("#")) {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fault.New(fault.Invalid, "read the key: %s has none in PEM; a sealed one has to be opened first", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fault.New(fault.Invalid, "read the key: %w", err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fault.New(fault.Invalid, "read the key: %s has none of Ed25519", file)
	}
	return key, nil
}
