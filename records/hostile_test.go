package records_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
)

// answers makes one peer answer some requests in its own way: reply returns nil for those that it passes on.
func answers(n *node, liar peer.ID, reply func(request []byte) []byte) {
	n.Intercept(func(next records.CallFunc) records.CallFunc {
		return func(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
			if to == liar {
				if r := reply(request); r != nil {
					return r, nil
				}
			}
			return next(ctx, to, request)
		}
	})
}

func versionAt(t time.Time) records.Version {
	return records.Version{Time: records.TimestampOf(t), Hash: [16]byte{1}}
}

// TestLyingHolder: whatever one holder of five says, writes are acknowledged and reads are right.
func TestLyingHolder(t *testing.T) {
	lies := map[string]func(request []byte) []byte{
		"has a newer version of everything": func(request []byte) []byte {
			switch request[0] {
			case records.OpPut:
				return records.NewerResponse(versionAt(time.Now().Add(10 * time.Second)))
			case records.OpGetVersion:
				return records.VersionResponse(versionAt(time.Now().Add(10 * time.Second)))
			}
			return nil
		},
		"has a version from the far future": func(request []byte) []byte {
			switch request[0] {
			case records.OpPut:
				return records.NewerResponse(versionAt(time.Now().Add(time.Hour)))
			case records.OpGetVersion:
				return records.VersionResponse(versionAt(time.Now().Add(time.Hour)))
			}
			return nil
		},
		"refuses everything": func([]byte) []byte { return records.RefusedResponse(fault.New(fault.Full, "no room")) },
		"answers garbage":    func([]byte) []byte { return []byte("garbage") },
		"answers nothing":    func([]byte) []byte { return []byte{} },
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			simulate(t, 5, func(t *testing.T, s *simulation) {
				answers(s.nodes[0], s.nodes[3].host.ID(), lie)
				for i := range 20 {
					key, value := fmt.Sprint("key", i%5), fmt.Sprint("value", i)
					put(t, s.nodes[0], key, value, records.Quorum)
					within(t, time.Second, "get", func() { wantValue(t, s.nodes[0], key, value) })
				}
				_, err := s.nodes[0].Get(t.Context(), "nothing", records.GetOptions{})
				wantKind(t, "get of nothing", err, fault.NotFound)
			})
		})
	}
}

// TestForgedRecordsAreNotReturned: a holder that changes what it returns.
func TestForgedRecordsAreNotReturned(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		for i := range 10 {
			put(t, s.nodes[0], fmt.Sprint("key", i), "genuine value", records.All)
		}
		for _, reader := range s.nodes {
			for _, liar := range s.nodes {
				reader.Intercept(func(next records.CallFunc) records.CallFunc {
					return func(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
						resp, err := next(ctx, to, request)
						if to == liar.host.ID() {
							resp = bytes.ReplaceAll(slices.Clone(resp), []byte("genuine"), []byte("FORGED!"))
						}
						return resp, err
					}
				})
				for i := range 10 {
					wantValue(t, reader, fmt.Sprint("key", i), "genuine value")
				}
			}
		}
	})
}

// TestReplayedRecordsOfOtherKeysAreNotReturned: a holder that answers with a genuine record of another key.
func TestReplayedRecordsOfOtherKeysAreNotReturned(t *testing.T) {
	simulate(t, 3, func(t *testing.T, s *simulation) {
		var other []byte
		put(t, s.nodes[0], "key", "value", records.All)
		put(t, s.nodes[0], "other", "other value", records.All)
		reader := s.nodes[1]
		reader.Intercept(func(next records.CallFunc) records.CallFunc {
			return func(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
				resp, err := next(ctx, to, request)
				if bytes.Contains(resp, []byte("other value")) {
					other = resp
				}
				if to == s.nodes[0].host.ID() && request[0] == records.OpGet && other != nil {
					return other, err
				}
				return resp, err
			}
		})
		wantValue(t, reader, "other", "other value")
		wantValue(t, reader, "key", "value")
	})
}

// TestFullHolders: writes that holders have no room for fail with that reason, and leave reads alone.
func TestFullHolders(t *testing.T) {
	simulate(t, 3, func(t *testing.T, s *simulation) {
		put(t, s.nodes[0], "key", "value", records.All)
		s.nodes[0].Intercept(func(next records.CallFunc) records.CallFunc {
			return func(ctx context.Context, to peer.ID, request []byte) ([]byte, error) {
				if request[0] == records.OpPut {
					return records.RefusedResponse(fault.New(fault.Full, "the disk is full")), nil
				}
				return next(ctx, to, request)
			}
		})
		_, err := s.nodes[0].Put(t.Context(), "key", nil, records.PutOptions{})
		wantKind(t, "put", err, fault.Full, "the disk is full", "of 2 copies", "may still take effect")
		if _, err := s.nodes[1].Get(t.Context(), "key", records.GetOptions{}); err != nil {
			t.Errorf("get: %v", err)
		}
	})
}

// TestGarbledListing: a member that sends an endless or unsorted listing is one that did not answer.
func TestGarbledListing(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		put(t, s.nodes[0], "key", "value", records.All)
		answers(s.nodes[0], s.nodes[2].host.ID(), func(request []byte) []byte {
			if request[0] == records.OpList {
				return []byte{1, 1} // more, and nothing
			}
			return nil
		})
		page, err := s.nodes[0].List(t.Context(), records.ListOptions{})
		if err != nil || len(page.Entries) != 1 || !page.Complete || !slices.Equal(page.Missing, []peer.ID{s.nodes[2].host.ID()}) {
			t.Errorf("list = %+v, %v", page, err)
		}
	})
}
