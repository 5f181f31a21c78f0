package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/internal/apitoken"
)

func (n *Node) openAPI(crypto.PrivKey) (err error) {
	n.feed = newFeed(n.look, n.changes)
	if n.cfg.API.Listen == "" {
		return nil
	}
	tokens, err := apitoken.Open(Tokens(n.cfg.Home), n.cfg.Logger.With("part", "api"))
	if err != nil {
		return err
	}
	n.apiToken = n.cfg.API.Token
	if n.apiToken == "" && (n.cfg.API.RequireTokens || !api.IsLoopback(n.cfg.API.Listen) && tokens.Len() > 0) {
		n.apiToken, _ = apitoken.Random() // so that commands on the home go on to need none
	}
	n.api, err = api.NewServer(api.Config{
		Backend:       backend{n},
		Ledger:        n.ledgerAPI(),
		Listen:        n.cfg.API.Listen,
		Token:         n.apiToken,
		Tokens:        tokens,
		RequireTokens: n.cfg.API.RequireTokens,
		Rate:          n.cfg.API.Rate,
		TLSCert:       n.cfg.API.TLSCert,
		TLSKey:        n.cfg.API.TLSKey,
		Insecure:      n.cfg.API.Insecure,
		UI:            n.cfg.API.UI,
		Gatherer:      n.metrics,
		Registerer:    n.metrics,
		Tracer:        n.tracer,
		Logger:        n.cfg.Logger.With("part", "api"),
		Version:       n.cfg.Version,
	})
	if err != nil {
		return fmt.Errorf("open the API: %w", err)
	}
	n.onClose("close the API", n.api.Close)
	return nil
}

// serveAPI serves until ctx or the network ends; a node without an API just waits.
func (n *Node) serveAPI(ctx, network context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(network, cancel)()
	if n.api == nil {
		<-ctx.Done()
		return nil
	}
	return named("API", n.api.Run(ctx))
}

// publishAPI leaves the API's address in the home, where commands look for it.
func (n *Node) publishAPI() (withdraw func(), err error) {
	if n.api == nil {
		return func() {}, nil
	}
	path := filepath.Join(n.cfg.Home, runningFile)
	doc := runningDocument{URL: n.api.URL(), Token: n.apiToken, PID: os.Getpid()}
	if err := writeJSON(path, doc); err != nil {
		return nil, fmt.Errorf("leave the API's address in the home: %w", err)
	}
	return func() { os.Remove(path) }, nil
}
