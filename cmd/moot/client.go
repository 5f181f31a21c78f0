package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/node"
)

// defaultAPI is where a node serves its API unless it is told otherwise.
const (
	defaultAPIListen = "127.0.0.1:7070"
	defaultAPI       = "http://" + defaultAPIListen
)

// client returns a client of the node that the user means: --api, or else the node that runs on the home, or else the
// default address.
func (a *app) client() (*client.Client, error) {
	url, token, err := a.target()
	if err != nil {
		return nil, err
	}
	c, err := client.New(url, client.Options{Token: token, Timeout: a.timeout})
	if err != nil {
		return nil, advise(fmt.Errorf("use API address %s: %w", quoteKey(url), err), "write it as http://HOST:PORT, https://HOST:PORT or unix:///PATH")
	}
	return c, nil
}

// target returns the API's address and token. The token that the running node left in the home is used for that node only.
func (a *app) target() (url, token string, err error) {
	if a.timeout <= 0 {
		return "", "", fault.New(fault.Invalid, "option --timeout: %s is not more than 0", a.timeout)
	}
	token, err = a.token()
	if err != nil {
		return "", "", err
	}
	var running, runningToken string
	if a.home != "" {
		running, runningToken, err = node.RunningAPI(a.home)
		if err != nil && fault.KindOf(err) != fault.NotFound && a.api == "" {
			return "", "", advise(err, "name the node with --api")
		}
	}
	url = a.api
	if url == "" {
		url = running
	}
	if url == "" {
		url = defaultAPI
	}
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	if token == "" && strings.TrimSuffix(url, "/") == strings.TrimSuffix(running, "/") {
		token = runningToken
	}
	return url, token, nil
}

// maxToken bounds a token in bytes.
const maxToken = 4 << 10

// token returns the token that the user gave, empty for none. A node asks for it, and every other command presents it.
func (a *app) token() (string, error) {
	if a.tokenFile == "" {
		return trimToken("variable MOOT_TOKEN", a.getenv("MOOT_TOKEN"))
	}
	f, err := os.Open(a.tokenFile)
	if err != nil {
		return "", advise(fmt.Errorf("read the token: %w", err), "check --token-file")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token, err := trimToken("token file "+a.tokenFile, string(data))
	if err == nil && token == "" {
		return "", fault.New(fault.Invalid, "token file %s is empty: want one line", a.tokenFile)
	}
	return token, err
}

// trimToken takes the white space off that editors and secrets put at a token's end; from says where it comes from.
func trimToken(from, text string) (string, error) {
	token := strings.TrimSpace(text)
	if len(text) > maxToken || strings.ContainsAny(token, " \t\r\n") {
		return "", fault.New(fault.Invalid, "%s: want one line of at most %d bytes", from, maxToken)
	}
	return token, nil
}
