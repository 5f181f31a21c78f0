package v1

import (
	"time"
	"unicode/utf8"
)

// MaxTopic and MaxMessage are the length limits of a topic's name and of a message, in bytes.
const (
	MaxTopic   = 1024
	MaxMessage = 64 << 10
)

// EventMessage is the type of a topic's events.
const EventMessage = "message"

// Published is the answer to a message.
type Published struct {
	Topic     string `json:"topic"`
	Followers int    `json:"followers" doc:"Of the peers that the node is connected to, how many follow the topic; the node itself and those further away are not counted"`
}

// Message is the data of an event of GET /v1/topics/{topic}/events.
type Message struct {
	Topic       string    `json:"topic"`
	Author      string    `json:"author" doc:"Peer id of the peer that published it, and signed it"`
	Published   time.Time `json:"published" doc:"When, as the author says"`
	Size        int       `json:"size" doc:"Bytes of the message"`
	Value       *string   `json:"value,omitempty" doc:"The message, when it is UTF-8"`
	ValueBase64 []byte    `json:"value_base64,omitempty" doc:"The message, when it is not UTF-8"`
	Missed      uint64    `json:"missed,omitempty" doc:"How many messages before this one the node dropped because they were not taken in time"`
}

// SetValue puts value into the message, as text when it is UTF-8.
func (m *Message) SetValue(value []byte) {
	m.Value, m.ValueBase64, m.Size = nil, nil, len(value)
	if utf8.Valid(value) {
		text := string(value)
		m.Value = &text
		return
	}
	m.ValueBase64 = value
}

// Bytes returns the message, however it is written.
func (m *Message) Bytes() []byte {
	if m.Value != nil {
		return []byte(*m.Value)
	}
	return m.ValueBase64
}
