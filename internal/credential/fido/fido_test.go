package fido_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

const (
	amara      = credtest.Amara
	amaraEmail = credtest.AmaraEmail
	origin     = "https://id.example.nhs.uk"
	bound      = "browser and journey"
)

// room is the verifier in its house.
type room struct {
	*credtest.House
	*fido.FIDO
	t *testing.T
	// suspended are the authenticators that were doubted.
	suspended []string
}

func options(h *credtest.House) fido.Options {
	return fido.Options{
		DB: h.DB, Ring: h.Ring, Random: rand.Reader, RPID: "id.example.nhs.uk", RPName: "Care Identity", Origins: []string{origin},
		Models: fidotest.Known(),
	}
}

func in(t *testing.T, h *credtest.House, set ...func(*fido.Options)) *room {
	t.Helper()
	r := &room{House: h, t: t}
	o := options(h)
	o.Suspend = func(ctx context.Context, _ care.UID, id, why string) error {
		r.suspended = append(r.suspended, id)
		return h.DB.Write(ctx, func(tx *db.Tx) error { return credential.Suspend(tx, id, why) })
	}
	for _, f := range set {
		f(&o)
	}
	r.FIDO = fido.New(o)
	return r
}

// each runs a test on both databases.
func each(t *testing.T, test func(t *testing.T, r *room)) {
	t.Helper()
	credtest.Each(t, fido.Schema, func(t *testing.T, h *credtest.House) { test(t, in(t, h)) })
}

func holder(uid care.UID) fido.Holder {
	return fido.Holder{UID: uid, Name: "Dr Amara OSEI", Address: amaraEmail}
}

// register makes a credential on a key.
func (r *room) register(key *fidotest.Key, method care.Method) (fido.Proven, error) {
	r.t.Helper()
	c, err := r.BeginRegistration(r.t.Context(), holder(amara), method, bound)
	must(r.t, err)
	response, err := key.Create(c.Options)
	must(r.t, err)
	return r.FinishRegistration(r.t.Context(), c.Sealed, bound, response)
}

// bind registers a credential and binds it under an id.
func (r *room) bind(id string, key *fidotest.Key, method care.Method) fido.Proven {
	r.t.Helper()
	proven, err := r.register(key, method)
	must(r.t, err)
	e, err := r.Enrolment(proven, "")
	must(r.t, err)
	r.Bind(r.t, id, e)
	return proven
}

// ask begins a sign-in.
func (r *room) ask(address care.Email, methods ...care.Method) fido.Ceremony {
	r.t.Helper()
	c, err := r.BeginSignIn(r.t.Context(), methods, address, bound)
	must(r.t, err)
	return c
}

// answer has a key sign, and checks what it signed.
func (r *room) answer(key *fidotest.Key, c fido.Ceremony) (credential.Proof, error) {
	r.t.Helper()
	response, err := key.Get(c.Options)
	must(r.t, err)
	return r.FinishSignIn(r.t.Context(), c.Sealed, bound, response)
}

// signIn signs in without an address, as the gate does.
func (r *room) signIn(key *fidotest.Key, methods ...care.Method) error {
	r.t.Helper()
	p, err := r.answer(key, r.ask("", methods...))
	if err != nil {
		return err
	}
	return r.Use(r.t, p)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err error, kind *fault.Kind) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("got %v, want %s", err, kind.Name)
	}
}

// publicKey reads the options of a ceremony.
func publicKey[T any](t testing.TB, c fido.Ceremony) T {
	t.Helper()
	var o struct {
		PublicKey T `json:"publicKey"`
	}
	must(t, json.Unmarshal(c.Options, &o))
	return o.PublicKey
}

// TestAnAttestedKeyRegistersAndSignsIn is the whole way of each method.
func TestAnAttestedKeyRegistersAndSignsIn(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		for method, key := range map[care.Method]*fidotest.Key{
			care.SecurityKey: fidotest.New(origin), care.WindowsHello: fidotest.NewPlatform(origin), care.Passkey: fidotest.NewPlatform(origin),
		} {
			proven := r.bind("a "+string(method), key, method)
			if proven.Level != care.AAL3 || proven.Model != fidotest.Model || proven.Why != "" {
				t.Errorf("%s: %+v", method, proven)
			}
			for range 2 {
				p, err := r.answer(key, r.ask("", method))
				must(t, err)
				want := care.Evidence{
					Method: method, Key: true, PhishingResistant: true, UserVerified: true, DeviceBound: true, Limit: care.AAL3,
				}
				if p.UID() != amara || p.AuthenticatorID() != "a "+string(method) || p.Evidence() != want {
					t.Errorf("%s: %s %s %+v", method, p.UID(), p.AuthenticatorID(), p.Evidence())
				}
				must(t, r.Use(t, p))
			}
		}
	})
}
