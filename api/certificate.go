package api

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// certificate is a pair of PEM files that is read again when it changes, as it does where certificates are renewed
// under a running program.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu sync.Mutex
	// pair is guarded by mu.
	pair *tls.Certificate
	// changed is when either file was last written, as of the last attempt to read them; guarded by mu.
	changed time.Time
}

func loadCertificate(certFile, keyFile string, logger *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.read(c.lastChange()); err != nil {
		return nil, fault.New(fault.Invalid, "read the certificate of --api-tls-cert %s and --api-tls-key %s: %w", certFile, keyFile, err)
	}
	return c, nil
}

// read needs mu.
func (c *certificate) read(changed time.Time) error {
	c.changed = changed
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair = &pair
	return nil
}

// lastChange returns the zero time when a file is missing, which a later read reports.
func (c *certificate) lastChange() time.Time {
	var last time.Time
	for _, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return time.Time{}
		}
		if info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// get returns the pair for a handshake. Files that can't be read, as in the middle of a renewal, leave the old pair in use until they change again.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if changed := c.lastChange(); !changed.Equal(c.changed) {
		if err := c.read(changed); err != nil {
			c.logger.Warn("keep the API's old certificate", "cert", c.certFile, "key", c.keyFile, "error", err)
		} else {
			c.logger.Info("read the API's certificate anew", "cert", c.certFile)
		}
	}
	return c.pair, nil
}
