package disk

import (
	"context"
	"errors"
	"fmt"
)

// Export hands every record's signed envelope to take, deleted and expired ones included, in the order of their keys' hashes and as of one moment. What is damaged is
// left out. The envelope is valid until take returns. An error of take or of ctx ends it.
func (d *Disk) Export(ctx context.Context, take func(envelope []byte) error) (err error) {
	snapshot := d.db.NewSnapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	it, err := snapshot.NewIter(nil)
	if err != nil {
		return fmt.Errorf("export the records: %w", err)
	}
	_, err = survey(it, span{[]byte{spaceEnvelope}, []byte{spaceEnvelope + 1}}, func(_, value []byte) error {
		_, envelope, err := splitEnvelope(value)
		if err != nil {
			return nil
		}
		return errors.Join(ctx.Err(), take(envelope))
	})
	_ = it.Close() // returns the damage that was met last
	if err != nil {
		return fmt.Errorf("export the records: %w", err)
	}
	return nil
}
