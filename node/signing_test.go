package node_test

import (
	"context"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/apitoken"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
)

const paymentKey = "0123456789abcdef"

// tokensOf makes a token of each scope at a home.
func tokensOf(t *testing.T, home string) map[apitoken.Scope]string {
	t.Helper()
	texts := make(map[apitoken.Scope]string)
	for _, scope := range apitoken.Scopes() {
		text, _, err := node.Tokens(home).Add(scope, apitoken.Scope(scope), time.Now(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		texts[apitoken.Scope(scope)] = text
	}
	return texts
}

func clientWith(t *testing.T, n *node.Node, token string) *client.Client {
	t.Helper()
	c, err := client.New(n.APIURL(), client.Options{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSignedTransfers: a node signs payments of the account that it was told of, for those who may administrate it, each once.
func TestSignedTransfers(t *testing.T) {
	ann, bob, firm := newSignatory(t), newSignatory(t), newSignatory(t)
	cfg := loopback(t.TempDir())
	cfg.Network = ""
	genesis := found(t, cfg.Home, ann.id)
	tokens := tokensOf(t, cfg.Home)
	cfg.Signers = []node.Signer{{Name: "ann", Key: ann.key}, {Name: "bob", Key: bob.key}}
	n, stop := start(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	admin := clientWith(t, n, tokens[apitoken.Admin])

	eur := ledger.AssetID{Code: "EUR", Issuer: ann.id}
	issue := ann.sign(t, genesis.ID(), &ledger.DefineAsset{Asset: eur, Scale: 2}, &ledger.Issue{Asset: eur, To: ann.id, Amount: ledger.NewAmount(1000)}, &ledger.Issue{Asset: eur, To: firm.id, Amount: ledger.NewAmount(1000)})
	if done, err := admin.SubmitTransaction(ctx, issue, v1.SubmitOptions{}); err != nil || !done.Applied {
		t.Fatalf("%+v, %v", done, err)
	}
	if list, err := admin.Signers(ctx); err != nil || len(list.Signers) != 2 || list.Signers[0].Name != "ann" || list.Signers[0].Account != ann.id.String() {
		t.Errorf("signers %+v, %v", list, err)
	}
	pay := v1.Transfer{Network: genesis.ID().String(), From: ann.id.String(), To: bob.id.String(), Asset: eur.String(), Amount: "250", Memo: "rent", ValidUntil: time.Now().Add(10 * time.Minute)}
	for what, c := range map[string]*client.Client{"no token": clientOf(t, n), "a wrong token": clientWith(t, n, "moot_wrong"), "read": clientWith(t, n, tokens[apitoken.Read]), "write": clientWith(t, n, tokens[apitoken.Write])} {
		if _, err := c.Transfer(ctx, pay, paymentKey, v1.SubmitOptions{}); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("with %s: %v", what, err)
		}
	}
	done, err := admin.Transfer(ctx, pay, paymentKey, v1.SubmitOptions{})
	if err != nil || !done.Applied {
		t.Fatalf("%+v, %v", done, err)
	}
	if again, err := admin.Transfer(ctx, pay, paymentKey, v1.SubmitOptions{}); err != nil || again != done {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if has := balanceOf(ctx, t, admin, bob.id); has != "250" {
		t.Errorf("the payee has %s", has)
	}

	set := ledger.KeySet{Threshold: 2, Keys: []ledger.PublicKey{ann.keys.Keys[0], firm.keys.Keys[0]}}
	if strings.Compare(set.Keys[0].String(), set.Keys[1].String()) > 0 {
		set.Keys[0], set.Keys[1] = set.Keys[1], set.Keys[0]
	}
	if done, err := admin.SubmitTransaction(ctx, firm.sign(t, genesis.ID(), &ledger.SetKeys{Account: firm.id, KeySet: set}), v1.SubmitOptions{}); err != nil || !done.Applied {
		t.Fatalf("%+v, %v", done, err)
	}
	for what, c := range map[string]struct {
		change func(*v1.Transfer)
		key    string
		want   fault.Kind
	}{
		"another amount under the key": {func(p *v1.Transfer) { p.Amount = "251" }, paymentKey, fault.Conflict},
		"another ledger":               {func(p *v1.Transfer) { p.Network = strings.Repeat("ab", 32) }, "", fault.Conflict},
		"nobody's key":                 {func(p *v1.Transfer) { p.From = newSignatory(t).id.String() }, "", fault.Forbidden},
		"one key of the two it takes":  {func(p *v1.Transfer) { p.From = firm.id.String() }, "", fault.Forbidden},
		"more than there is":           {func(p *v1.Transfer) { p.Amount = "100000" }, "", fault.Conflict},
		"nothing":                      {func(p *v1.Transfer) { p.Amount = "0" }, "", fault.Invalid},
		"a broken amount":              {func(p *v1.Transfer) { p.Amount = "2.5" }, "", fault.Invalid},
		"no account":                   {func(p *v1.Transfer) { p.To = "bob" }, "", fault.Invalid},
		"valid for too long":           {func(p *v1.Transfer) { p.ValidUntil = time.Now().Add(2 * time.Hour) }, "", fault.Invalid},
		"too late":                     {func(p *v1.Transfer) { p.ValidUntil = time.Now().Add(-time.Minute) }, "", fault.Invalid},
		"a long memo":                  {func(p *v1.Transfer) { p.Memo = strings.Repeat("ä", 100) }, "", fault.TooLarge},
		"a short key":                  {func(*v1.Transfer) {}, "short", fault.Invalid},
		"a key with a space":           {func(*v1.Transfer) {}, "0123456789 abcdef", fault.Invalid},
	} {
		changed, key := pay, c.key
		c.change(&changed)
		if key == "" {
			key = "another-payment-" + strings.ReplaceAll(what, " ", "-")
		}
		if got, err := admin.Transfer(ctx, changed, key, v1.SubmitOptions{}); err == nil || fault.KindOf(err) != c.want {
			t.Errorf("%s: %+v, %v of kind %v, want %v", what, got, err, fault.KindOf(err), c.want)
		}
	}

	// The node forgets what it promised, the ledger does not.
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	n, _ = start(t, cfg)
	admin = clientWith(t, n, tokens[apitoken.Admin])
	if again, err := admin.Transfer(ctx, pay, paymentKey, v1.SubmitOptions{}); err != nil || again != done {
		t.Errorf("the same after a restart: %+v, %v", again, err)
	}
	if has := balanceOf(ctx, t, admin, bob.id); has != "250" {
		t.Errorf("the payee has %s after a restart", has)
	}
}

func balanceOf(ctx context.Context, t *testing.T, c *client.Client, id ledger.AccountID) string {
	t.Helper()
	a, err := c.Account(ctx, id.String())
	if err != nil || len(a.Balances) != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	return a.Balances[0].Amount
}

// TestSignersThatMayNotBe: a node signs with no key that it needs for itself, with none twice, and with none where there is no ledger.
func TestSignersThatMayNotBe(t *testing.T) {
	ann := newSignatory(t)
	cfg := loopback(t.TempDir())
	cfg.Network = ""
	found(t, cfg.Home, ann.id)
	identity, err := node.Identity(cfg.Home)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := identity.Raw()
	if err != nil {
		t.Fatal(err)
	}
	open := loopback(t.TempDir())
	for what, c := range map[string]struct {
		cfg     node.Config
		signers []node.Signer
		say     string
	}{
		"identity":  {cfg, []node.Signer{{Name: "node", Key: ed25519.PrivateKey(raw)}}, "identity"},
		"twice":     {cfg, []node.Signer{{Name: "a", Key: ann.key}, {Name: "b", Key: ann.key}}, "the same"},
		"no ledger": {open, []node.Signer{{Name: "a", Key: ann.key}}, "no ledger"},
		"no key":    {cfg, []node.Signer{{Name: "a"}}, "name and a key"},
		"too many":  {cfg, make([]node.Signer, node.MaxSigners+1), "at most"},
	} {
		c.cfg.Signers = c.signers
		if n, err := node.New(c.cfg); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, %v", what, n, err)
		}
	}
}
