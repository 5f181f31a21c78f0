package records_test

import (
	"fmt"
	"testing"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/records/recordstest"
)

func TestConformance(t *testing.T) {
	sizes := []int{1, 2, 3, 5, 8}
	if raceDetector {
		sizes = []int{3}
	}
	for _, n := range sizes {
		t.Run(fmt.Sprint(n, " peers"), func(t *testing.T) {
			recordstest.Run(t, func(t *testing.T, body func(*testing.T, *recordstest.Network)) {
				simulate(t, n, func(t *testing.T, s *simulation) {
					network := recordstest.Network{Copies: records.DefaultCopies}
					for _, n := range s.nodes {
						network.Stores = append(network.Stores, n.Store)
						network.IDs = append(network.IDs, n.host.ID())
					}
					body(t, &network)
				})
			})
		})
	}
}
