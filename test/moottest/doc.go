// Package moottest runs the real program as processes, for end-to-end tests and measurements: it builds moot, starts nodes,
// waits until they serve, runs commands against them, and ends what it started.
package moottest
