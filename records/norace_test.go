//go:build !race

package records_test

// raceDetector says that the tests run under the race detector.
const raceDetector = false
