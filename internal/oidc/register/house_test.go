package register_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io/fs"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/oidc/register"
	"carekey.dev/carekey/internal/relyingparty"
)

var (
	schemas = []fs.FS{audit.Schema, relyingparty.Schema, register.Schema}
	start   = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
)

const (
	endpoint = "https://id.example.nhs.uk/register"
	callback = "https://rota.example.nhs.uk/callback"
)

// house is the registry on a real database.
type house struct {
	*register.Registry
	t    testing.TB
	db   *db.DB
	past *atomic.Int64
}

func clock(past *atomic.Int64) func() time.Time {
	return func() time.Time { return start.Add(time.Duration(past.Load())) }
}

func (h *house) pass(some time.Duration) { h.past.Add(int64(some)) }

func each(t *testing.T, test func(t *testing.T, h *house)) {
	past := &atomic.Int64{}
	dbtest.EachAt(t, clock(past), schemas, func(t *testing.T, d *db.DB) {
		past.Store(0)
		test(t, on(t, d, past))
	})
}

func open(t testing.TB) *house {
	past := &atomic.Int64{}
	return on(t, dbtest.OpenAt(t, clock(past), schemas...), past)
}

func on(t testing.TB, d *db.DB, past *atomic.Int64) *house {
	o := register.Options{DB: d, Endpoint: endpoint, Fetch: http.DefaultClient, Random: rand.Reader}
	return &house{register.New(o), t, d, past}
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// usual is what an operator gives out without further thought.
func usual() register.Allowance {
	return register.Allowance{
		Policy: register.Policy{Profile: relyingparty.CIS2, DefaultACR: care.AAL2OrAAL3Any},
		For:    time.Hour, Uses: 100, Actor: "operator",
	}
}

func (h *house) allow(change ...func(*register.Allowance)) string {
	h.t.Helper()
	a := usual()
	for _, f := range change {
		f(&a)
	}
	token, err := register.Allow(context.Background(), h.db, rand.Reader, a)
	h.must(err)
	return token
}

// sent is metadata as a program writes it. Pairs change a field, nil removes
// it.
func sent(pairs ...any) []byte {
	fields := map[string]any{"redirect_uris": []string{callback}, "client_name": "Rota"}
	for i := 0; i < len(pairs); i += 2 {
		fields[pairs[i].(string)] = pairs[i+1]
		if pairs[i+1] == nil {
			delete(fields, pairs[i].(string))
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return text
}

// registered makes a relying party with a new initial token.
func (h *house) registered(pairs ...any) register.Registration {
	h.t.Helper()
	made, err := h.Register(h.t.Context(), h.allow(), sent(pairs...))
	h.must(err)
	return made
}

// stored is the relying party as everybody else sees it.
func (h *house) stored(id string) (rp relyingparty.RelyingParty, err error) {
	h.t.Helper()
	err = h.db.Read(h.t.Context(), func(tx *db.Tx) (err error) {
		rp, err = relyingparty.ByID(tx, id)
		return err
	})
	return rp, err
}

// operator changes a relying party as carekey rp set does.
func (h *house) operator(id string, change func(*relyingparty.RelyingParty)) {
	h.t.Helper()
	h.must(h.db.Write(h.t.Context(), func(tx *db.Tx) error {
		before, err := relyingparty.Locked(tx, id)
		if err != nil {
			return err
		}
		after := before
		change(&after)
		_, err = relyingparty.Replace(tx, "operator", before, after)
		return err
	}))
}

func (h *house) count(from string) (n int) {
	h.t.Helper()
	h.must(h.db.Read(h.t.Context(), func(tx *db.Tx) error { return tx.Row(`SELECT count(*) FROM ` + from).Scan(&n) }))
	return n
}

// object is a registration as a program reads it.
func object(t testing.TB, r register.Registration) map[string]any {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}
