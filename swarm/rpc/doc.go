// Package rpc carries requests and responses between two peers over one long-lived stream per protocol. Opening a stream
// for each request costs far more CPU than the request; here requests are pipelined, answered in any order, and whatever waits to be
// written goes out in one write.
//
// A Server answers requests under a protocol id, a Client makes them. Both bound what the other side can take from them:
// sizes before memory is set aside, requests in flight, streams, and the time that a peer may leave a stream unread or a frame
// unfinished. A peer that breaks the protocol loses the stream, with every call on it.
//
// # Wire format
//
// Each side sends frames. A frame is a header of 13 bytes, all integers big-endian, and the payload:
//
//	uint32  length of the payload
//	uint64  id of the call, chosen by the client, never used twice on a stream
//	uint8   kind: 1 request (client to server), 2 response (server to client), 3 traced request (client to server)
//
// A traced request has the W3C traceparent of the caller's span, 55 bytes, before the request. It may come on streams of a protocol id of its own, the protocol's with "+trace" behind it, which is
// served only by who wants to know: everybody else is not asked in that way.
//
// The format has no version of its own: it belongs to the protocol id, whose version changes with it.
package rpc
