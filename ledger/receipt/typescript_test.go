package receipt_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/internal/goldentest"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/receipt"
)

var updateCases = flag.Bool("update-typescript", false, "write the receipts that the TypeScript client must judge alike")

// typescriptData holds receipts of a demo, and what is made of them.
const typescriptData = "../../clients/typescript/test/data"

// typescriptCase is a receipt in which one text was replaced, and what is to be said of it.
type typescriptCase struct {
	Name string `json:"name"`
	Of   string `json:"of"`
	From string `json:"from"`
	To   string `json:"to"`
	Good bool   `json:"good"`
}

// replaced are what is changed of each receipt that has the text once.
var replaced = []struct{ name, from, to string }{
	{"nothing", "", ""},
	{"an unknown member", `{` + "\n" + ` "receipt": 1,`, `{` + "\n" + ` "receipt": 1,` + "\n" + ` "note": "paid",`},
	{"an unknown member of the path", ` "path": {`, ` "path": {` + "\n" + `  "note": 1,`},
	{"an unknown member of the last header", `  "last": {`, `  "last": {` + "\n" + `   "note": 1,`},
	{"an unknown member of the transaction", ` "transaction": {`, ` "transaction": {` + "\n" + `  "memo": "rent",`},
	{"an unknown member of the balance", ` "balance": {`, ` "balance": {` + "\n" + `  "scale": 2,`},
	{"an empty list of steps", ` "path": {`, ` "path": {` + "\n" + `  "steps": [],`},
	{"no start, which is said", ` "path": {`, ` "path": {` + "\n" + `  "start": null,`},
	{"no record, which is said", ` "path": {`, ` "record": "",` + "\n" + ` "path": {`},
	{"no members, which is said", ` "path": {`, ` "members": null,` + "\n" + ` "path": {`},
	{"a member that is called like its prototype", ` "path": {`, ` "__proto__": 1,` + "\n" + ` "path": {`},
	{"another version", `"receipt": 1`, `"receipt": 2`},
	{"a version in another spelling", `"receipt": 1`, `"receipt": 1.0`},
	{"no version", ` "receipt": 1,` + "\n", ``},
	{"a result that is no whole number", `"operation": 0`, `"operation": 0.5`},
	{"a result in a string", `"code": 0`, `"code": "0"`},
	{"a space more", `"receipt": 1`, `"receipt":  1`},
	{"a space at the end", "\n}\n", "\n}\n "},
	{"no line at its end", "\n}\n", "\n}"},
}

// TestTypeScriptReceipts holds the receipts that the TypeScript client is tested with to what this package says of them.
func TestTypeScriptReceipts(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(typescriptData, "genesis.json"))
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := ledger.ParseGenesis(data)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Cases []typescriptCase `json:"cases"`
	}
	for _, of := range []string{"receipt-transaction.json", "receipt-balance.json", "receipt-absent.json"} {
		text, err := os.ReadFile(filepath.Join(typescriptData, of))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range casesOf(t, of, string(text)) {
			changed := strings.Replace(string(text), c.From, c.To, 1)
			c.Good = verifies(changed, genesis)
			if c.Good != (c.From == "") {
				t.Errorf("%s of %s: good is %v", c.Name, of, c.Good)
			}
			doc.Cases = append(doc.Cases, c)
		}
	}
	want, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	goldentest.Check(t, filepath.Join(typescriptData, "receipt-cases.json"), append(want, '\n'), *updateCases, "go test ./ledger/receipt -run TypeScript -update-typescript")
}

func verifies(text string, genesis *ledger.Genesis) bool {
	r, err := receipt.Parse([]byte(text))
	if err != nil {
		return false
	}
	_, err = r.Verify(light.Root{Genesis: genesis})
	return err == nil
}

// appended are put behind what is encoded, as fields of protocol buffers.
var appended = []struct {
	name string
	tail []byte
}{
	{"a byte", []byte{0}}, {"an empty field", []byte{0x7a, 0}}, {"an unknown number", []byte{0x78, 1}}, {"a field of a great number", []byte{0xa2, 0x80, 0x80, 0x80, 0x80, 0x01, 0}}, {"a height again", []byte{0x08, 3}},
}

// line finds the members of the innermost documents that hold bytes or a text.
var line = regexp.MustCompile(`(?m)^ +"(\w+)": "([^"]*)",?$`)

// casesOf returns what is changed of a receipt.
func casesOf(t *testing.T, of, text string) (list []typescriptCase) {
	t.Helper()
	for _, c := range replaced {
		if c.from == "" || strings.Count(text, c.from) == 1 {
			list = append(list, typescriptCase{Name: c.name, Of: of, From: c.from, To: c.to})
		}
	}
	lines := line.FindAllStringSubmatch(text, -1)
	for i, m := range lines {
		name, value := m[1], m[2]
		if i > 0 && strings.HasSuffix(lines[i-1][0], ",") && strings.HasSuffix(m[0], ",") && strings.Contains(text, lines[i-1][0]+"\n"+m[0]) {
			list = append(list, typescriptCase{Name: lines[i-1][1] + " behind " + name, Of: of, From: lines[i-1][0] + "\n" + m[0], To: m[0] + "\n" + lines[i-1][0]})
		}
		if upper := strings.ToUpper(value); upper != value && (name == "network" || name == "account") {
			list = append(list, typescriptCase{Name: name + " in capitals", Of: of, From: `"` + name + `": "` + value + `"`, To: `"` + name + `": "` + upper + `"`})
		}
		if code, issuer, ok := strings.Cut(value, "@"); ok {
			list = append(list, typescriptCase{Name: "an issuer in capitals", Of: of, From: value, To: code + "@" + strings.ToUpper(issuer)})
		}
		data, err := base64.StdEncoding.DecodeString(value)
		if err != nil || name != "header" && name != "commit" && name != "proof" && name != "body" {
			continue
		}
		for _, c := range appended {
			list = append(list, typescriptCase{Name: c.name + " behind the " + name, Of: of, From: value, To: base64.StdEncoding.EncodeToString(append(bytes.Clone(data), c.tail...))})
		}
		if name == "commit" {
			list = append(list, typescriptCase{Name: "another signature, which is absent", Of: of, From: value, To: base64.StdEncoding.EncodeToString(append(bytes.Clone(data), 0x22, 2, 8, 1))})
		}
	}
	return list
}
