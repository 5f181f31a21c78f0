package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// hear runs a subscription and publishes until it has ended.
func (b *bench) hear(publish, subscribe []string) (published string, heard outcome) {
	b.t.Helper()
	ended := make(chan outcome, 1)
	listener := *b
	go func() { ended <- listener.moot(append([]string{"subscribe"}, subscribe...)...) }()
	deadline := time.After(30 * time.Second)
	for {
		published = b.must(append([]string{"publish"}, publish...)...)
		select {
		case heard := <-ended:
			return published, heard
		case <-deadline:
			b.t.Fatal("the subscription does not end")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestPublishAndSubscribe(t *testing.T) {
	b := newBench(t)
	published, heard := b.hear([]string{"news", "hello there"}, []string{"news", "--count", "2"})
	if published != "published on news; of the peers connected to this node 1 follows it\n" {
		t.Errorf("publish says %q", published)
	}
	if heard.code != exitDone || heard.stdout != "hello there\nhello there\n" || heard.err != "moot: following news\n" {
		t.Errorf("subscribe: exit %d, %q, %q", heard.code, heard.stdout, heard.err)
	}

	file := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(file, []byte("\xff\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	published, heard = b.hear([]string{"a/b", "--file", file, "--json"}, []string{"a/b", "-c", "1", "--json"})
	var receipt v1.Published
	if err := json.Unmarshal([]byte(published), &receipt); err != nil || receipt.Topic != "a/b" || receipt.Followers != 1 {
		t.Errorf("publish says %s, %v", published, err)
	}
	var m v1.Message
	if err := json.Unmarshal([]byte(heard.stdout), &m); err != nil || m.Topic != "a/b" || m.Author != apitest.Self || string(m.Bytes()) != "\xff\x00" {
		t.Errorf("subscribe prints %s, %v", heard.stdout, err)
	}

	_, heard = b.hear([]string{"a/b", "--file", file}, []string{"a/b", "-c", "1", "--author"})
	if !strings.HasSuffix(heard.stdout, "  "+apitest.Self+"  (not text, 2 B)\n") {
		t.Errorf("subscribe prints %q", heard.stdout)
	}
}

func TestTopicUsage(t *testing.T) {
	b := newBench(t)
	for _, tt := range [][]string{
		{"publish", "news"},
		{"publish", "news", "hello", "--file", "x"},
		{"publish", "", "hello"},
		{"publish", "a\nb", "hello"},
		{"publish", "moot/find", "hello"},
		{"subscribe", "moot/find"},
		{"subscribe", "news", "--count", "-1"},
		{"find", apitest.Other, "--via", "magic"},
	} {
		b.fails(exitUsage, tt)
	}
	b.stdin = strings.Repeat("x", v1.MaxMessage+1)
	b.fails(exitUsage, []string{"publish", "news", "--file", "-"}, "65536 bytes", "record")
	b.env["MOOT_API"] = "http://127.0.0.1:1"
	b.fails(exitIncomplete, []string{"subscribe", "news"}, "no node answers")
	b.fails(exitIncomplete, []string{"publish", "news", "hello"}, "no node answers")
}
