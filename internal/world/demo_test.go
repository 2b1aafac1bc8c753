package world_test

import (
	"crypto/rand"
	"io/fs"
	"slices"
	"testing"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/lease"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
	"carekey.dev/carekey/internal/world"
)

// house is what binds demo authenticators: the real gate and the real app.
type house struct {
	*db.DB
	options world.Options
	app     *app.App
}

var houseSchemas = slices.Concat(schemas, []fs.FS{app.Schema, lease.Schema, outbox.Schema, throttle.Schema})

func furnish(t *testing.T, d *db.DB) house {
	t.Helper()
	ring := keys.NewRing(keys.Root{1})
	box, err := outbox.New(d, ring, outbox.Options{Service: "Care Identity", Operator: "Carekey", From: "no-reply@carekey.example"})
	if err != nil {
		t.Fatal(err)
	}
	_, opener, err := session.New(d, session.Options{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	g := gate.New(gate.Options{
		DB: d, Ring: ring, Opener: opener, Binder: credential.NewBinder(), Outbox: box,
		Link: func(path string) string { return "http://localhost" + path }, Demo: true, Random: rand.Reader,
	})
	a := app.New(app.Options{
		DB: d, Ring: ring, Throttle: throttle.New(ring, throttle.Limits{}), Outbox: box, Random: rand.Reader,
		Cost: app.Cost{MemoryKiB: 64, Time: 1, Threads: 1}, Pool: 2, Dev: true,
	})
	return house{d, world.Options{DB: d, Random: rand.Reader, Enrol: a.FromWorld, Bind: g.BindDemo}, a}
}

func (h house) apply(t *testing.T) world.Outcome {
	t.Helper()
	w, err := world.Parse(world.DemoName, world.Demo, world.Dev)
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := w.Apply(t.Context(), h.options)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func TestTheDemoWorldIsAppliedWithItsAuthenticators(t *testing.T) {
	dbtest.Each(t, houseSchemas, func(t *testing.T, d *db.DB) {
		h := furnish(t, d)
		h.apply(t)
		codes, err := h.app.DemoCodes(t.Context())
		if err != nil || len(codes) != 6 {
			t.Errorf("%d people have an app: %v", len(codes), err)
		}
		if people := read(t, d, person.All); len(people) != 9 {
			t.Errorf("there are %d people", len(people))
		}
		roles := read(t, d, func(tx *db.Tx) ([]access.Role, error) { return access.Roles(tx, "555000100105") })
		if len(roles) != 7 || roles[2].OrgName != "NORTHMOOR ROYAL INFIRMARY" || roles[2].Areas["P0020:Q0300:T0640"] == "" {
			t.Errorf("Ravi's roles: %+v", roles)
		}
		for _, rp := range read(t, d, relyingparty.All) {
			if rp.ShortName == "NCRS" {
				if rp.AuthMethod != relyingparty.PrivateKeyJWT || rp.JWKSURI != "http://127.0.0.1:9091/jwks.json" || len(rp.Secrets) != 0 {
					t.Errorf("NCRS authenticates by %s", rp.AuthMethod)
				}
				continue
			}
			if !rp.CheckSecret(map[string]string{"e-RS": "ers", "MESH": "mesh", "CDR": "cdr"}[rp.ShortName] + "-demo-secret-please-change") {
				t.Errorf("%s has another secret", rp.ShortName)
			}
		}
	})
}

func TestTheDemoWorldAppliedTwiceChangesNothing(t *testing.T) {
	dbtest.Each(t, houseSchemas, func(t *testing.T, d *db.DB) {
		h := furnish(t, d)
		h.apply(t)
		if again := h.apply(t); len(again.Changes) != 0 || len(again.Notes) != 0 {
			t.Errorf("the second time: %v %v", lines(again.Changes), again.Notes)
		}
	})
}

func TestAnAuthenticatorIsCreatedOnceAndThePersonsOwnEverAfter(t *testing.T) {
	d := dbtest.Open(t, houseSchemas...)
	h := furnish(t, d)
	h.apply(t)
	const uid = care.UID("555000100101")
	held := func(tx *db.Tx) ([]credential.Record, error) { return credential.Of(tx, uid) }
	before := read(t, d, held)
	err := d.Write(t.Context(), func(tx *db.Tx) error { return credential.Suspend(tx, before[0].ID, "lost") })
	if err != nil {
		t.Fatal(err)
	}
	h.apply(t)
	if after := read(t, d, held); len(after) != 1 || after[0].SuspendedAt.IsZero() {
		t.Errorf("a lost authenticator came back: %+v", after)
	}
}

func TestOutsideDevModeTheGateRefusesAuthenticatorsOfAFile(t *testing.T) {
	d := dbtest.Open(t, houseSchemas...)
	h := furnish(t, d)
	ring := keys.NewRing(keys.Root{1})
	h.options.Bind = gate.New(gate.Options{DB: d, Ring: ring, Binder: credential.NewBinder()}).BindDemo
	w, err := world.Parse(world.DemoName, world.Demo, world.Dev)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply(t.Context(), h.options); err == nil {
		t.Error("the world was applied")
	}
	if people := read(t, d, person.All); len(people) != 0 {
		t.Errorf("half a world was applied: %d people", len(people))
	}
}
