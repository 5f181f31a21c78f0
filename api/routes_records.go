package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	recordPath   = recordsPrefix + "{key}"
	holdersPath  = "/v1/holders/{key}"
	providerPath = "/v1/providers/{key}"

	typeBytes = "application/octet-stream"
	typeJSON  = "application/json"
)

func (r *routes) recordRoutes() {
	tags := []string{"records"}
	value := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	body := &huma.RequestBody{
		Description: "The value: any bytes, up to 1 MiB, stored as they are whatever the Content-Type",
		Content:     map[string]*huma.MediaType{typeBytes: value},
	}
	handle(r, huma.Operation{
		OperationID: "put-record", Method: http.MethodPut, Path: recordPath, Tags: tags,
		Summary:     "Put a record",
		RequestBody: body, MaxBodyBytes: v1.MaxValue + 1, // huma refuses a body as long as its limit
	}, r.putRecord)
	// huma requires raw bodies, and an empty value is a value.
	body.Required = false

	handle(r, huma.Operation{
		OperationID: "delete-record", Method: http.MethodDelete, Path: recordPath, Tags: tags,
		Summary: "Delete a record",
	}, r.deleteRecord)
	record := r.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[v1.Record](), true, "")
	handle(r, huma.Operation{
		OperationID: "get-record", Method: http.MethodGet, Path: recordPath, Tags: tags,
		Summary:   "Get the newest version of a record that a quorum of its holders, or as many as consistency says, know",
		Responses: recordResponses(map[string]*huma.MediaType{typeBytes: value, typeJSON: {Schema: record}, v1.EnvelopeType: value}),
	}, r.getRecord)
	handle(r, huma.Operation{
		OperationID: "head-record", Method: http.MethodHead, Path: recordPath, Tags: tags,
		Summary:   "Get the headers of a record",
		Responses: recordResponses(nil),
	}, r.headRecord)
	r.huma.OpenAPI().Paths[recordPath].Head.Responses["200"].Content = nil
	handle(r, huma.Operation{
		OperationID: "list-records", Method: http.MethodGet, Path: "/v1/records", Tags: tags,
		Summary: "List records, keys in byte order",
	}, r.listRecords)
	handle(r, huma.Operation{
		OperationID: "list-holders", Method: http.MethodGet, Path: holdersPath, Tags: tags,
		Summary: "Who holds which version of a record, and since when",
	}, r.holders)
	handle(r, huma.Operation{
		OperationID: "get-standing", Method: http.MethodGet, Path: "/v1/standing", Tags: tags,
		Summary: "How many records of the whole network have all their copies, fewer, or cannot be reached",
	}, r.standing)
}

func recordResponses(content map[string]*huma.MediaType) map[string]*huma.Response {
	return map[string]*huma.Response{
		"200": {Description: "OK", Content: content},
		"304": {Description: "The client's version is the newest"},
		"default": {Description: "Error", Content: map[string]*huma.MediaType{
			v1.ProblemType: {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}},
		}},
	}
}

// WriteInput is what every write of a record may say.
type WriteInput struct {
	Key         keyParam `path:"key"`
	Consistency string   `query:"consistency" enum:"one,quorum,all" doc:"How many copies must be on disk before the answer; absent: quorum"`
	IfMatch     string   `header:"If-Match" example:"\"0197…-…\"" doc:"One strong entity tag: 412 unless it is the newest version. Best effort across a partition"`
	IfNoneMatch string   `header:"If-None-Match" example:"*" doc:"*: 412 unless there is no record. Best effort across a partition"`
	Session     string   `header:"Moot-Session" doc:"The token of an earlier answer: the write belongs to its session"`
}

type putInput struct {
	WriteInput
	TTL     string `query:"ttl" example:"24h" doc:"How long the record lives, such as 90s or 24h; absent: for ever"`
	RawBody []byte
}

// options returns the options of the write.
func (in *WriteInput) options() (PutOptions, error) {
	opts := PutOptions{Consistency: in.Consistency, Session: in.Session}
	var err error
	if opts.IfVersion, opts.IfAbsent, err = conditionOf(in.IfMatch, in.IfNoneMatch); err != nil {
		return opts, err
	}
	return opts, checkSession(in.Session)
}

// checkSession refuses what no session's token can be.
func checkSession(token string) error {
	if len(token) > v1.MaxSession {
		return fault.New(fault.Invalid, "%s: %d bytes: at most %d are allowed", v1.HeaderSession, len(token), v1.MaxSession)
	}
	return nil
}

// writtenOutput is the answer to a write; empty headers are left out.
type writtenOutput struct {
	ETag    string `header:"ETag" doc:"The record's version in quotes"`
	Copies  string `header:"Moot-Copies" doc:"On how many disks the version is known to be, such as 3 of 5"`
	Session string `header:"Moot-Session" doc:"The session's token from now on"`
	Body    v1.Written
}

func (r *routes) putRecord(ctx context.Context, in *putInput) (*writtenOutput, error) {
	opts, err := in.options()
	if err != nil {
		return nil, err
	}
	if opts.TTL, err = parseTTL(in.TTL); err != nil {
		return nil, err
	}
	// huma uses the buffer again after this handler, while the store may still be sending copies.
	value := bytes.Clone(in.RawBody)
	return writtenOf(r.backend.PutRecord(ctx, in.Key.decode(), value, opts))
}

func parseTTL(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl <= 0 {
		return 0, fault.New(fault.Invalid, "ttl %q: want a positive duration such as 90s or 24h, or no ttl for a record that lives for ever", text)
	}
	return ttl, nil
}

func (r *routes) deleteRecord(ctx context.Context, in *WriteInput) (*writtenOutput, error) {
	opts, err := in.options()
	if err != nil {
		return nil, err
	}
	if opts.IfAbsent {
		return nil, fault.New(fault.Invalid, "%s does not work with DELETE: what is not there needs no deletion", headerIfNoneMatch)
	}
	return writtenOf(r.backend.DeleteRecord(ctx, in.Key.decode(), opts))
}

func writtenOf(written v1.Written, err error) (*writtenOutput, error) {
	if err != nil {
		return nil, err
	}
	return &writtenOutput{ETag: entityTag(written.Version), Copies: written.Copies.String(), Session: written.Session, Body: written}, nil
}

// ReadInput is what every read of a record may say.
type ReadInput struct {
	Key         keyParam `path:"key"`
	Consistency string   `query:"consistency" enum:"one,quorum,all" doc:"How many holders must answer; absent: quorum"`
	IfNoneMatch string   `header:"If-None-Match" doc:"Entity tags; 304 when one is the newest version"`
	Session     string   `header:"Moot-Session" doc:"The token of an earlier answer: what is read is never older than what its session has seen, or else 503"`
}

type getInput struct {
	ReadInput
	Accept string `header:"Accept" hidden:"true"`
}

// recordOutput is the answer with a record; empty headers are left out.
type recordOutput struct {
	Status        int
	ContentType   string `header:"Content-Type" hidden:"true"`
	ContentLength string `header:"Content-Length" hidden:"true"`
	Vary          string `header:"Vary" hidden:"true"`
	ETag          string `header:"ETag" doc:"The record's version in quotes"`
	Version       string `header:"Moot-Version" doc:"The record's version"`
	Author        string `header:"Moot-Author" doc:"Peer id of the peer that signed the version; absent when nobody did, as under kad/"`
	Expires       string `header:"Moot-Expires" doc:"When the record ends (RFC 3339); absent when it lives for ever" format:"date-time"`
	Copies        string `header:"Moot-Copies" doc:"On how many disks the version is known to be, such as 3 of 5"`
	Session       string `header:"Moot-Session" doc:"The session's token from now on"`
	Body          []byte
}

// readRecord carries a session through a read, one that finds nothing included.
func (r *routes) readRecord(ctx context.Context, in *ReadInput) (Record, error) {
	if err := checkSession(in.Session); err != nil {
		return Record{}, err
	}
	rec, err := r.backend.GetRecord(ctx, in.Key.decode(), GetOptions{Consistency: in.Consistency, Session: in.Session})
	if err != nil && rec.Session != "" {
		err = huma.ErrorWithHeaders(err, http.Header{v1.HeaderSession: {rec.Session}})
	}
	return rec, err
}

func (r *routes) getRecord(ctx context.Context, in *getInput) (*recordOutput, error) {
	rec, err := r.readRecord(ctx, &in.ReadInput)
	if err != nil {
		return nil, err
	}
	switch negotiation.SelectQValue(in.Accept, []string{typeBytes, typeJSON, v1.EnvelopeType}) {
	case typeJSON:
		return jsonRecord(rec, in.IfNoneMatch)
	case v1.EnvelopeType:
		return envelopeRecord(rec, in.IfNoneMatch)
	}
	return rawRecord(rec, in.IfNoneMatch), nil
}

func (r *routes) headRecord(ctx context.Context, in *ReadInput) (*recordOutput, error) {
	rec, err := r.readRecord(ctx, in)
	if err != nil {
		return nil, err
	}
	return rawRecord(rec, in.IfNoneMatch), nil
}

func rawRecord(rec Record, ifNoneMatch string) *recordOutput {
	return recordOf(rec, entityTag(rec.Version), typeBytes, rec.Value, ifNoneMatch)
}

// jsonRecord has a weak entity tag: the same version as other bytes.
func jsonRecord(rec Record, ifNoneMatch string) (*recordOutput, error) {
	doc := v1.Record{Key: rec.Key, Version: rec.Version, Author: rec.Author, Expires: rec.Expires, Copies: rec.Copies}
	doc.SetValue(rec.Value)
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return recordOf(rec, "W/"+entityTag(rec.Version), typeJSON, append(body, '\n'), ifNoneMatch), nil
}

// envelopeRecord has a weak entity tag, too.
func envelopeRecord(rec Record, ifNoneMatch string) (*recordOutput, error) {
	if rec.Envelope == nil {
		return nil, fault.New(fault.Invalid, "record %q has no envelope: nobody signed it", rec.Key)
	}
	return recordOf(rec, "W/"+entityTag(rec.Version), v1.EnvelopeType, rec.Envelope, ifNoneMatch), nil
}

func recordOf(rec Record, etag, contentType string, body []byte, ifNoneMatch string) *recordOutput {
	out := &recordOutput{
		Status: http.StatusOK, Vary: "Accept", ETag: etag,
		Version: rec.Version, Author: rec.Author, Session: rec.Session,
	}
	if rec.Copies.Wanted > 0 {
		out.Copies = rec.Copies.String()
	}
	if !rec.Expires.IsZero() {
		out.Expires = rec.Expires.UTC().Format(time.RFC3339Nano)
	}
	if matchesAny(ifNoneMatch, etag) {
		out.Status = http.StatusNotModified
		return out
	}
	out.ContentType, out.ContentLength, out.Body = contentType, strconv.Itoa(len(body)), body
	return out
}

func entityTag(version string) string { return `"` + version + `"` }

// matchesAny tells whether the list of entity tags of an If-None-Match header holds etag by weak comparison (RFC 9110,
// sections 8.8.3.2 and 13.1.2). Versions have no commas or quotes.
func matchesAny(list, etag string) bool {
	etag = strings.TrimPrefix(etag, "W/")
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

type listInput struct {
	Prefix string `query:"prefix" doc:"Only keys that begin with it"`
	Cursor string `query:"cursor" doc:"The cursor of the previous page"`
	After  string `query:"after" doc:"Only keys behind this one; a cursor wins over it"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" doc:"Most entries wanted; absent: 1,000"`
	Local  bool   `query:"local" doc:"List what this node's disk holds rather than the whole network"`
}

func (r *routes) listRecords(ctx context.Context, in *listInput) (*document[v1.Page], error) {
	if err := checkText("prefix", in.Prefix); err != nil {
		return nil, err
	}
	if err := checkText("after", in.After); err != nil {
		return nil, err
	}
	page, err := r.backend.ListRecords(ctx, ListOptions(*in))
	if err != nil {
		return nil, err
	}
	page.Records = notNil(page.Records)
	return &document[v1.Page]{page}, nil
}

func (r *routes) holders(ctx context.Context, in *keyInput) (*document[v1.Holding], error) {
	holding, err := r.backend.Holders(ctx, in.Key.decode())
	if err != nil {
		return nil, err
	}
	holding.Holders = notNil(holding.Holders)
	return &document[v1.Holding]{holding}, nil
}

func (r *routes) standing(ctx context.Context, _ *struct{}) (*document[v1.Standing], error) {
	standing, err := r.backend.Standing(ctx)
	if err != nil {
		return nil, err
	}
	return &document[v1.Standing]{standing}, nil
}

type keyInput struct {
	Key keyParam `path:"key"`
}

func (r *routes) providerRoutes() {
	tags := []string{"providers"}
	handle(r, huma.Operation{
		OperationID: "provide", Method: http.MethodPut, Path: providerPath, Tags: tags,
		Summary: "Say that this node provides what the key names",
	}, r.provide)
	handle(r, huma.Operation{
		OperationID: "list-providers", Method: http.MethodGet, Path: providerPath, Tags: tags,
		Summary: "Peers that provide what the key names",
	}, r.providers)
}

func (r *routes) provide(ctx context.Context, in *keyInput) (*document[v1.Provided], error) {
	provided, err := r.backend.Provide(ctx, in.Key.decode())
	if err != nil {
		return nil, err
	}
	return &document[v1.Provided]{provided}, nil
}

func (r *routes) providers(ctx context.Context, in *keyInput) (*document[v1.Providers], error) {
	found, err := r.backend.Providers(ctx, in.Key.decode())
	if err != nil {
		return nil, err
	}
	found.Providers = notNil(found.Providers)
	for i := range found.Providers {
		found.Providers[i].Addresses = notNil(found.Providers[i].Addresses)
	}
	return &document[v1.Providers]{found}, nil
}
