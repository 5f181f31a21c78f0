package v1

import "time"

// Severities of findings.
const (
	// SeverityProblem keeps the node from doing what it is for, now or soon.
	SeverityProblem = "problem"
	// SeverityWarning does not, and may one day.
	SeverityWarning = "warning"
)

// Diagnosis is the answer of GET /v1/doctor: what is wrong with a node and around it, and what mends it.
type Diagnosis struct {
	Healthy  bool      `json:"healthy" doc:"There is no problem; there may be warnings"`
	Time     time.Time `json:"time" doc:"When it was looked at"`
	Checks   []string  `json:"checks" nullable:"false" doc:"What was looked at"`
	Findings []Finding `json:"findings" nullable:"false" doc:"What was found, problems first"`
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Check    string `json:"check" doc:"What was looked at: one of checks"`
	Severity string `json:"severity" enum:"problem,warning"`
	Summary  string `json:"summary" doc:"What is wrong, and what of"`
	Command  string `json:"command,omitempty" doc:"The command that mends it or tells more; words in capitals are to be replaced"`
}
