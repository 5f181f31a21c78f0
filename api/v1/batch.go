package v1

import (
	"errors"
	"fmt"
)

// Bounds of a batch of transactions.
const (
	// MaxBatch is the most transactions in one request, and MaxBatchBytes the most bytes of all with their lengths.
	MaxBatch      = 4096
	MaxBatchBytes = 1 << 20
	// batchLength is the number of bytes of a length.
	batchLength = 3
)

// BatchType is the media type of a batch of encoded transactions: for each its length in 24 bits, big-endian, and its bytes.
const BatchType = "application/vnd.folkmoot.transactions"

// Submitted is the answer for one transaction of a batch: a status or a problem.
type Submitted struct {
	Status *TransactionStatus `json:"status,omitempty" doc:"Where it is and what became of it, as POST /v1/ledger/transactions answers"`
	// Problem has the status that POST /v1/ledger/transactions would have answered.
	Problem *Problem `json:"problem,omitempty" doc:"Why it was refused, or is not known to be in a block"`
}

// Batch is the answer of POST /v1/ledger/batches.
type Batch struct {
	Transactions []Submitted `json:"transactions" nullable:"false" doc:"One answer for each transaction, in the order of the request"`
}

// AppendToBatch appends an encoded transaction of at most MaxTransaction bytes to a batch.
func AppendToBatch(batch, transaction []byte) []byte {
	n := len(transaction)
	return append(append(batch, byte(n>>16), byte(n>>8), byte(n)), transaction...)
}

// BatchRoom returns how many bytes a transaction of n bytes takes in a batch.
func BatchRoom(n int) int { return batchLength + n }

// SplitBatch returns the transactions of a batch, 1 to MaxBatch, which alias it. It says nothing about what is in them. An error says what is wrong with the batch as a whole.
func SplitBatch(batch []byte) ([][]byte, error) {
	if len(batch) == 0 {
		return nil, errors.New("the batch is empty: want at least one transaction")
	}
	var list [][]byte
	for rest := batch; len(rest) > 0; {
		if len(list) == MaxBatch {
			return nil, fmt.Errorf("the batch has more than %d transactions", MaxBatch)
		}
		number := len(list) + 1
		if len(rest) < batchLength {
			return nil, fmt.Errorf("the batch ends within the length of transaction %d", number)
		}
		n := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
		rest = rest[batchLength:]
		if n > MaxTransaction {
			return nil, fmt.Errorf("transaction %d of the batch has %d bytes: at most %d are allowed", number, n, MaxTransaction)
		}
		if n > len(rest) {
			return nil, fmt.Errorf("the batch ends within transaction %d, which is to have %d bytes: %d are there", number, n, len(rest))
		}
		list, rest = append(list, rest[:n:n]), rest[n:]
	}
	return list, nil
}
