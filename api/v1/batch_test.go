package v1

import (
	"bytes"
	"strings"
	"testing"
)

func TestSplitBatch(t *testing.T) {
	var batch []byte
	want := [][]byte{[]byte("one"), {}, bytes.Repeat([]byte{7}, MaxTransaction)}
	room := 0
	for _, transaction := range want {
		batch = AppendToBatch(batch, transaction)
		room += BatchRoom(len(transaction))
	}
	if len(batch) != room {
		t.Errorf("%d bytes, BatchRoom says %d", len(batch), room)
	}
	got, err := SplitBatch(batch)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d transactions, %v", len(got), err)
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("transaction %d is another", i+1)
		}
	}
}

func TestBatchesThatAreRefused(t *testing.T) {
	for text, batch := range map[string][]byte{
		"is empty": nil,
		"ends within the length of transaction 1":                          {0, 0},
		"ends within transaction 2, which is to have 9 bytes: 1 are there": {0, 0, 1, 'x', 0, 0, 9, 'y'},
		"transaction 1 of the batch has 65537 bytes":                       AppendToBatch(nil, make([]byte, MaxTransaction+1)),
		"more than 4096 transactions":                                      make([]byte, batchLength*(MaxBatch+1)),
	} {
		if list, err := SplitBatch(batch); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %d transactions, %v", text, len(list), err)
		}
	}
}

func FuzzSplitBatch(f *testing.F) {
	f.Add(AppendToBatch(AppendToBatch(nil, []byte("one")), nil))
	f.Add([]byte{0, 0, 2, 'x'})
	f.Fuzz(func(t *testing.T, batch []byte) {
		list, err := SplitBatch(batch)
		if err != nil {
			return
		}
		var again []byte
		for _, transaction := range list {
			again = AppendToBatch(again, transaction)
		}
		if len(list) == 0 || len(list) > MaxBatch || !bytes.Equal(again, batch) {
			t.Errorf("%d transactions, whose batch is %x instead of %x", len(list), again, batch)
		}
	})
}
