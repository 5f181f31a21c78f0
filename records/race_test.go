//go:build race

package records_test

// raceDetector says that the tests run under the race detector, where they take about ten times as long. They run without it too.
const raceDetector = true
