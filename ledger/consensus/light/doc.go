// Package light checks headers that validators signed, without the blocks before them: what somebody needs who was not there and knows nothing but where to begin.
//
// A Path leads from a Root, the genesis or one block that is trusted, to a header: over each block at which the validators changed, whose header names those that follow and was signed by more than
// two thirds of those that were. That is sound as long as no validators of the past ever sign a second history with two thirds of their power; what they once had at stake does not matter here. Each
// byte of a Path counts: one that differs anywhere is refused.
package light
