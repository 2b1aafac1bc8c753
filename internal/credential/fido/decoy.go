package fido

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-webauthn/webauthn/protocol"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

// allowed names the keys of whoever signs in with an address. For an address
// that nobody has, and for who has no such key, it names one that does not
// exist, the same each time, so that nobody learns who is registered (ASVS
// 6.3.8; WebAuthn, 14.6.2). Both are computed in each case.
func (f *FIDO) allowed(ctx context.Context, methods []care.Method, address care.Email) ([]protocol.CredentialDescriptor, error) {
	var own []row
	err := f.o.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		own, err = rows(tx, `SELECT `+columns+`
			FROM person_sign_in s
			JOIN authenticator_state a ON a.uid = s.uid AND a.disabled_at = 0
			JOIN fido_credential c ON c.authenticator_id = a.id
			WHERE s.address = $1 AND s.closed_at = 0
			ORDER BY c.authenticator_id`, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for the keys of an address: %w", err)
	}
	decoys := f.decoysOf(address, methods[0])
	own = slices.DeleteFunc(own, func(r row) bool { return !slices.Contains(methods, r.Method) })
	if len(own) == 0 {
		own = decoys
	}
	return descriptors(own), nil
}

// shapes are credential ids and transports as keys of each method have them.
var shapes = map[care.Method][]struct {
	size       int
	transports []string
}{
	care.SecurityKey: {
		{64, []string{"usb"}}, {64, []string{"usb", "nfc"}}, {48, []string{"usb", "nfc"}}, {16, []string{"usb", "nfc"}},
	},
	care.WindowsHello: {{32, []string{"internal"}}},
	care.Passkey:      {{20, []string{"hybrid", "internal"}}, {32, []string{"hybrid", "internal"}}, {16, []string{"internal"}}},
}

// decoysOf are keys that nobody has, made from the address alone. They are as
// many as somebody may hold: where that is more than one, two named keys must
// not show that an address is known.
func (f *FIDO) decoysOf(address care.Email, method care.Method) []row {
	number := f.decoys.Sum([]byte("number"), []byte(method), []byte(address))
	some := []row{f.decoy(address, method, "")}
	if most := f.o.PerMethod; most > 1 && number[0]%4 == 0 { // most people have one
		for i := range 1 + int(number[1])%(most-1) {
			some = append(some, f.decoy(address, method, strconv.Itoa(i)))
		}
	}
	return some
}

// decoy is one of them.
func (f *FIDO) decoy(address care.Email, method care.Method, which string) row {
	part := func(name string) []byte {
		return f.decoys.Sum([]byte(name), []byte(method), []byte(address), []byte(which))
	}
	shape := shapes[method][int(part("shape")[0])%len(shapes[method])]
	id := append(part("first"), part("second")...)
	return row{Method: method, CredentialID: id[:shape.size], Transports: shape.transports}
}

// standIn is the public key (COSE_Key, ES256) that an answer for a decoy is
// verified by. Nobody has kept the private key.
var standIn = []byte("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20" +
	"\xe9\x74\xb0\x54\xf7\x2b\xdf\xeb\xc2\xe5\x17\xe9\x3e\xda\x75\x5f\x77\xa0\xac\x2f\xe2\x61\x31\x05\xc7\xe8\xae\x61\x0c\x01\xc1\xf9" +
	"\x22\x58\x20" +
	"\x2d\x35\x09\xe7\x75\x0d\x04\x49\x6b\xe7\xae\x04\x15\x6c\x4f\x2a\x2e\x53\xaa\x12\xfb\x4c\x85\xda\x30\xa7\x71\x92\x0c\xfa\x40\xe5")
