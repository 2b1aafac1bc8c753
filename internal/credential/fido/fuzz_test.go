package fido_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/fault"
)

// The fuzz targets feed what a browser sends, part by part: client data,
// authenticator data, attestation object. Nothing may panic, each answer is a
// fault that somebody has words for, and what is accepted is what was asked for.

// foreseen reports whether err is a fault and no internal one.
func foreseen(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind != fault.Internal
}

// with puts a part into a response in place of the one that is there.
func with(t testing.TB, response []byte, part string, bytes []byte) []byte {
	t.Helper()
	var whole map[string]any
	must(t, json.Unmarshal(response, &whole))
	whole["response"].(map[string]any)[part] = base64.RawURLEncoding.EncodeToString(bytes)
	text, err := json.Marshal(whole)
	must(t, err)
	return text
}

// part returns a part of a response.
func part(t testing.TB, response []byte, name string) []byte {
	t.Helper()
	var whole struct{ Response map[string]any }
	must(t, json.Unmarshal(response, &whole))
	bytes, err := base64.RawURLEncoding.DecodeString(whole.Response[name].(string))
	must(t, err)
	return bytes
}

// created is a registration that waits for its end.
func created(t testing.TB, h *credtest.House, key *fidotest.Key) (*fido.FIDO, fido.Ceremony, []byte) {
	t.Helper()
	f := fido.New(options(h))
	c, err := f.BeginRegistration(t.Context(), holder(amara), care.Passkey, bound)
	must(t, err)
	response, err := key.Create(c.Options)
	must(t, err)
	return f, c, response
}

func FuzzClientData(f *testing.F) {
	room, c, response := created(f, credtest.Open(f, fido.Schema), fidotest.New(origin))
	good := part(f, response, "clientDataJSON")
	f.Add(good)
	f.Add([]byte(`{"type":"webauthn.create","challenge":null,"origin":{},"crossOrigin":"x","topOrigin":["a"]}`))
	f.Add([]byte("\xef\xbb\xbf" + string(good)))
	f.Add([]byte(`{"type":"webauthn.create","Type":"webauthn.get","tokenBinding":{"status":""}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := room.FinishRegistration(t.Context(), c.Sealed, bound, with(t, response, "clientDataJSON", data))
		switch {
		case err == nil && string(data) != string(good):
			// The attestation signs the client data: none but the right one passes.
			t.Errorf("%q was accepted: %+v", data, p)
		case err != nil && !foreseen(err):
			t.Errorf("%q: %v", data, err)
		}
	})
}

func FuzzAttestationObject(f *testing.F) {
	h := credtest.Open(f, fido.Schema)
	room, c, response := created(f, h, fidotest.New(origin))
	f.Add(part(f, response, "attestationObject"))
	for _, format := range []string{fidotest.Self, fidotest.None} {
		key := fidotest.New(origin)
		key.Format = format
		_, _, other := created(f, h, key)
		f.Add(part(f, other, "attestationObject"))
	}
	f.Add([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58\xff"))
	f.Add([]byte("\xbf\x63fmt\xff"))
	genuine := fidotest.Model
	f.Fuzz(func(t *testing.T, object []byte) {
		p, err := room.FinishRegistration(t.Context(), c.Sealed, bound, with(t, response, "attestationObject", object))
		switch {
		case err == nil && p.Level == care.AAL3 && p.Model != genuine:
			t.Errorf("%x reached AAL3 as %q", object, p.Model)
		case err != nil && !foreseen(err):
			t.Errorf("%x: %v", object, err)
		}
	})
}

func FuzzAuthenticatorData(f *testing.F) {
	h := credtest.Open(f, fido.Schema)
	key := fidotest.New(origin)
	room, c, response := created(f, h, key)
	proven, err := room.FinishRegistration(f.Context(), c.Sealed, bound, response)
	must(f, err)
	e, err := room.Enrolment(proven, "")
	must(f, err)
	h.Bind(f, "a", e)
	c, err = room.BeginSignIn(f.Context(), []care.Method{care.Passkey}, "", bound)
	must(f, err)
	response, err = key.Get(c.Options)
	must(f, err)
	good := part(f, response, "authenticatorData")
	f.Add(good)
	f.Add(good[:36])
	f.Add(append(good[:32:32], 0xc5, 0, 0, 0, 9, 0xa0))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := room.FinishSignIn(t.Context(), c.Sealed, bound, with(t, response, "authenticatorData", data))
		switch {
		case err == nil && string(data) != string(good):
			t.Errorf("%x was accepted under the signature of another", data)
		case err != nil && !foreseen(err):
			t.Errorf("%x: %v", data, err)
		}
	})
}

// FuzzResponse is the whole answer of a browser, to either ceremony.
func FuzzResponse(f *testing.F) {
	room, c, response := created(f, credtest.Open(f, fido.Schema), fidotest.New(origin))
	get, err := room.BeginSignIn(f.Context(), []care.Method{care.Passkey}, "", bound)
	must(f, err)
	f.Add(response)
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"","signature":""}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := room.FinishRegistration(t.Context(), c.Sealed, bound, text); err != nil && !foreseen(err) {
			t.Errorf("registering %q: %v", text, err)
		}
		if _, err := room.FinishSignIn(t.Context(), get.Sealed, bound, text); err == nil || !foreseen(err) {
			t.Errorf("signing in with %q: %v", text, err)
		}
	})
}

// FuzzSealed: only what this room sealed opens.
func FuzzSealed(f *testing.F) {
	room, c, response := created(f, credtest.Open(f, fido.Schema), fidotest.New(origin))
	f.Add(c.Sealed[1:], bound)
	f.Add(c.Sealed, "another")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, sealed, to string) {
		_, err := room.FinishRegistration(t.Context(), sealed, to, response)
		if right := sealed == c.Sealed && to == bound; (err == nil) != right || err != nil && !foreseen(err) {
			t.Errorf("%q for %q: %v", sealed, to, err)
		}
	})
}
