package ledger

import (
	"strings"

	"github.com/folkmoot/folkmoot/fault"
)

// MaxCode is the most characters of an asset's code.
const MaxCode = 12

// AssetID names an asset: a code that means something only together with the account that issues it.
type AssetID struct {
	// Code is 1 to MaxCode of A-Z and 0-9.
	Code   string
	Issuer AccountID
}

// String returns CODE@issuer.
func (a AssetID) String() string { return a.Code + "@" + a.Issuer.String() }

// ParseAssetID is the inverse of AssetID.String. Its errors are of kind fault.Invalid. A bare code is no asset: who it is of is for the user's own address book to say.
func ParseAssetID(s string) (AssetID, error) {
	code, issuer, ok := strings.Cut(s, "@")
	if !ok {
		return AssetID{}, fault.New(fault.Invalid, "%q is not an asset: want CODE@ISSUER", clip(s))
	}
	if err := ValidateCode(code); err != nil {
		return AssetID{}, err
	}
	account, err := ParseAccountID(issuer)
	if err != nil {
		return AssetID{}, err
	}
	return AssetID{code, account}, nil
}

// ValidateCode returns an error of kind fault.Invalid for what is no code of an asset.
func ValidateCode(code string) error {
	if code == "" || len(code) > MaxCode {
		return fault.New(fault.Invalid, "an asset's code of %d characters: want 1 to %d", len(code), MaxCode)
	}
	for _, c := range []byte(code) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return fault.New(fault.Invalid, "%q is not an asset's code: want A-Z and 0-9", code)
		}
	}
	return nil
}
