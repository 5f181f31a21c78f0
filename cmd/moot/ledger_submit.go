package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/api/ledgerdoc"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/backup"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/accounts"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/pause"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// defaultValidFor is how long a transaction of one command may wait for a block.
	defaultValidFor = 10 * time.Minute
	// clockRoom is left below the longest time that may be: the time of blocks runs behind that of clocks.
	clockRoom = time.Minute
	// submitPause is between attempts to hand a transaction in.
	submitPause = 250 * time.Millisecond
)

// sending are the options of commands that make a transaction.
type sending struct {
	validFor       time.Duration
	memo           string
	passphraseFile string
}

func addSending(cmd *cobra.Command, s *sending) {
	f := cmd.Flags()
	f.StringVar(&s.memo, "memo", "", "`TEXT` for people, up to 128 bytes that everybody can read")
	f.DurationVar(&s.validFor, "valid-for", defaultValidFor, "how long it may wait for a block, at most 1h")
	addAccountPassphrase(cmd, &s.passphraseFile)
}

func addAccountPassphrase(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "passphrase-file", "", "`file` with the passphrase of the account's key, one line (or the passphrase itself in "+passphraseVariable+")")
}

// newBody returns what a transaction of these operations says, valid from now on.
func newBody(validFor, most time.Duration, memo string, ops []ledger.Operation) (ledger.Body, error) {
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return ledger.Body{}, fmt.Errorf("make a transaction: %w", err)
	}
	if validFor <= 0 || validFor > most {
		return ledger.Body{}, fault.New(fault.Invalid, "option --valid-for: want more than 0 and at most %s, got %s", most, validFor)
	}
	body := ledger.Body{ValidUntil: time.Now().Add(min(validFor, most-clockRoom)).UnixMilli(), Salt: binary.BigEndian.Uint64(salt[:]), Operations: ops}
	if memo != "" {
		body.Memo = []byte(memo)
	}
	return body, nil
}

// do makes, signs and submits a transaction of operations, and shows that it is in a block. done says in the past tense what happened then.
func (u *ledgerUser) do(ctx context.Context, s sending, done string, ops ...ledger.Operation) error {
	t, err := u.send(ctx, s, ops...)
	if err != nil {
		return err
	}
	return u.app.show(t, func() { u.app.printCommitted(done, &t) })
}

// send makes a transaction of operations, signs it with the keys of the home, submits it, and returns when it is in a block and was applied.
func (u *ledgerUser) send(ctx context.Context, s sending, ops ...ledger.Operation) (v1.CommittedTransaction, error) {
	body, err := newBody(s.validFor, ledger.MaxWindow, s.memo, ops)
	if err == nil {
		err = body.Validate()
	}
	if err != nil {
		return v1.CommittedTransaction{}, err
	}
	network, err := u.network(ctx)
	if err != nil {
		return v1.CommittedTransaction{}, err
	}
	t := &ledger.Transaction{Body: body}
	if err := u.signAll(ctx, network, t, s.passphraseFile); err != nil {
		return v1.CommittedTransaction{}, fmt.Errorf("sign: %w", err)
	}
	return u.submit(ctx, network, t)
}

// signAll signs for all accounts that must, with keys of the home.
func (u *ledgerUser) signAll(ctx context.Context, network ledger.Hash, t *ledger.Transaction, passphraseFile string) error {
	for _, account := range t.Signers() {
		set, err := u.keySet(ctx, account)
		if err != nil {
			return err
		}
		if err := u.signFor(network, t, account, set, passphraseFile); err != nil {
			return err
		}
	}
	return nil
}

// keySet returns the keys that an account has now: those that the node tells or, while it has its first one, the key of the home that its id is of.
func (u *ledgerUser) keySet(ctx context.Context, account ledger.AccountID) (*ledger.KeySet, error) {
	known, err := u.client.Account(ctx, account.String())
	if err != nil {
		return nil, u.app.ledgerFailed("ask for the account", account.String(), err)
	}
	return u.presentKeys(account, known)
}

func (u *ledgerUser) presentKeys(account ledger.AccountID, known v1.Account) (*ledger.KeySet, error) {
	if len(known.Keys) > 0 {
		return parseKeySet(known.Threshold, known.Keys)
	}
	list, err := u.folder.List()
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].ID() == account {
			return &ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{list[i].Key}}, nil
		}
	}
	return nil, advise(fault.New(fault.NotFound, "there is no key of %s in %s", account, string(u.folder)), `"moot ledger account list" lists the keys that are there`)
}

func parseKeySet(threshold uint8, texts []string) (*ledger.KeySet, error) {
	set := &ledger.KeySet{Threshold: threshold}
	for _, text := range texts {
		var key ledger.PublicKey
		if err := key.UnmarshalText([]byte(text)); err != nil {
			return nil, fmt.Errorf("the account's keys: %w", err)
		}
		set.Keys = append(set.Keys, key)
	}
	return set, set.Validate()
}

// signFor signs for an account with as many of its keys as it takes and are in the home, those without a passphrase first.
func (u *ledgerUser) signFor(network ledger.Hash, t *ledger.Transaction, account ledger.AccountID, set *ledger.KeySet, passphraseFile string) error {
	keys, err := u.openKeys(account, set, passphraseFile)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := t.Sign(network, account, set, key); err != nil {
			return err
		}
	}
	return nil
}

// openKeys opens as many of an account's keys as it takes, of those in the home.
func (u *ledgerUser) openKeys(account ledger.AccountID, set *ledger.KeySet, passphraseFile string) ([]ed25519.PrivateKey, error) {
	list, err := u.folder.List()
	if err != nil {
		return nil, err
	}
	var keys []ed25519.PrivateKey
	for _, sealed := range []bool{false, true} {
		for _, own := range list {
			if own.Sealed != sealed || len(keys) >= int(set.Threshold) || !slices.Contains(set.Keys, own.Key) {
				continue
			}
			key, err := u.app.openKey(u.folder, own.Name, passphraseFile)
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
	}
	if len(keys) < int(set.Threshold) {
		return nil, advise(fault.New(fault.NotFound, "%d of the keys of %s must sign, and %d of them are in %s", set.Threshold, account, len(keys), string(u.folder)),
			`"moot ledger tx new" makes a transaction that several can sign`)
	}
	return keys, nil
}

// openKey reads a key of the home, and asks for its passphrase if it has one.
func (a *app) openKey(folder accounts.Folder, name, passphraseFile string) (ed25519.PrivateKey, error) {
	return a.openSealed(folder, name, passphraseFile, passphraseOption)
}

// openSealed is openKey where the option for the passphrase's file has another name.
func (a *app) openSealed(folder accounts.Folder, name, passphraseFile, option string) (ed25519.PrivateKey, error) {
	return folder.Open(name, func(sealed []byte) ([]byte, error) {
		passphrase, err := a.askPassphrase(passphraseFile, option, "Passphrase of the key "+name+": ", false)
		if err == nil && passphrase == "" {
			err = advise(fault.New(fault.Forbidden, "the key %s is under a passphrase", name), "give it in %s or %s", option, passphraseVariable)
		}
		if err != nil {
			return nil, err
		}
		return backup.Unseal(sealed, passphrase)
	})
}

// keyPair is a key of the home.
type keyPair struct {
	private ed25519.PrivateKey
	public  ledger.PublicKey
}

// accountKeyPair opens the key of that name.
func (a *app) accountKeyPair(folder accounts.Folder, name, passphraseFile string) (keyPair, error) {
	key, err := a.openKey(folder, name, passphraseFile)
	if fault.KindOf(err) == fault.NotFound {
		err = advise(err, `"moot ledger account list" lists the keys that are there`)
	}
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{key, accounts.PublicKey(key)}, nil
}

// submit hands in a signed transaction, and returns when it is in a block and was applied. One that is in a block and failed is an error.
func (u *ledgerUser) submit(ctx context.Context, network ledger.Hash, t *ledger.Transaction) (v1.CommittedTransaction, error) {
	encoded, err := ledger.EncodeTransaction(t)
	if err != nil {
		return v1.CommittedTransaction{}, err
	}
	id := t.ID(network)
	out := v1.CommittedTransaction{Transaction: ledgerdoc.FromTransaction(network, t)}
	out.TransactionStatus, err = u.handIn(ctx, encoded)
	if err != nil {
		return out, u.app.notCommitted(id, t.ValidUntil, err)
	}
	if out.ID != id.String() {
		return out, fault.New(fault.Internal, "transaction %s was handed in, and the node answers for transaction %s", id, printable(out.ID))
	}
	if out.State != v1.TransactionCommitted {
		return out, u.app.notCommitted(id, t.ValidUntil, fault.New(fault.Unavailable, "it is in no block yet"))
	}
	if !out.Applied {
		return out, notApplied(&out)
	}
	return out, nil
}

// handIn hands in an encoded transaction, and again where the connection is lost before the answer: the same bytes happen once at most.
func (u *ledgerUser) handIn(ctx context.Context, encoded []byte) (v1.TransactionStatus, error) {
	return u.insist(ctx, func(ctx context.Context) (v1.TransactionStatus, error) {
		return u.client.SubmitTransaction(ctx, encoded, v1.SubmitOptions{Wait: v1.WaitCommitted})
	})
}

// insist asks for what happens once at most, and again where the connection is lost before the answer.
func (u *ledgerUser) insist(ctx context.Context, ask func(context.Context) (v1.TransactionStatus, error)) (v1.TransactionStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, u.app.timeout)
	defer cancel()
	for first := true; ; first = false {
		status, err := ask(ctx)
		switch {
		case err == nil || first && (!lostConnection(err) || errors.Is(err, client.ErrNotRunning)):
			return status, err
		case u.mayEnd && errors.Is(err, client.ErrNotRunning):
			return status, fault.New(fault.Unavailable, "the connection was lost, and the node has ended: %s", err)
		case !lostConnection(err): // a no to the second try says nothing of the first
			return status, fault.New(fault.Unavailable, "the connection was lost, and then: %s", err)
		}
		// From here on it may have been handed in, whoever answers now.
		err = fault.New(fault.Unavailable, "the connection was lost: %s", err)
		if pause.For(ctx, submitPause) != nil {
			return status, err
		}
	}
}

// lostConnection tells whether no answer came, rather than one that says no.
func lostConnection(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// notCommitted says that a transaction was handed in and it is not known that it is in a block. Only answers that rule out that it comes into one are passed on as they are.
func (a *app) notCommitted(id ledger.TransactionID, validUntil int64, err error) error {
	kind := fault.KindOf(err)
	open := kind == fault.Unavailable || kind == fault.Internal
	if !open || errors.Is(err, client.ErrNotRunning) {
		return a.ledgerFailed("submit", id.String(), err)
	}
	until := time.UnixMilli(validUntil).Local().Format("2006-01-02 15:04:05")
	return advise(fmt.Errorf("transaction %s may still come into a block until %s: %w", id, until, err), "ask with: %s", a.withNode("moot ledger tx "+id.String()))
}

// notApplied is the error of a transaction that is in a block and did nothing.
func notApplied(t *v1.CommittedTransaction) error {
	kind := fault.Conflict
	for _, missing := range []ledger.Code{ledger.NoAsset, ledger.NoMember, ledger.NoProposal, ledger.NoValidator, ledger.NoInvite} {
		if strings.Contains(t.Failure, missing.String()) {
			kind = fault.NotFound
		}
	}
	return fault.New(kind, "transaction %s is in block %d and did nothing: %s", t.ID, t.Height, failureText(t))
}

// failureText says which operation failed and why.
func failureText(t *v1.CommittedTransaction) string {
	what := fmt.Sprintf("operation %d", t.Operation)
	if n := t.Operation; n >= 1 && n <= len(t.Transaction.Operations) {
		what += " (" + t.Transaction.Operations[n-1].Kind + ")"
	}
	return printable(what + ": " + orDash(t.Failure))
}

// printCommitted says where a transaction is.
func (a *app) printCommitted(done string, t *v1.CommittedTransaction) {
	a.printf("%s\ntransaction %s\nblock %d\n", done, t.ID, t.Height)
}
