package account

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/notice"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

const (
	amara = care.UID("555000100101")
	helen = care.UID("555000100103")

	amaraMail     = care.Email("amara.osei@nhs.net")
	helenMail     = care.Email("helen.marsh@northmoor.nhs.uk")
	amaraPassword = gatetest.Password
)

// house is the room with real neighbours below it. Only the way that signs
// people in is not there: whoever comes to its door is signed in at once.
type house struct {
	*Account
	*gatetest.Rig
	*gatetest.Door
	t       *testing.T
	handler http.Handler
	// network is where browsers are.
	network netip.Addr
	// services are what was opened from a session.
	services map[string][]string
}

// shared is where all computers are shared.
var shared = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}

func newHouse(t *testing.T) *house {
	t.Helper()
	rig := gatetest.Empty(t, organisation.Schema, access.Schema, notice.Schema, relyingparty.Schema)
	requirements := journey.NewRequirements(rig.Ring, rig.DB.Now)
	h := &house{t: t, Rig: rig, Door: rig.Door(amara, requirements), network: netip.MustParseAddr("192.0.2.7"), services: map[string][]string{}}
	kit := pagetest.Kit(t)
	h.Account = New(Options{
		DB: rig.DB, Kit: kit, Ring: rig.Ring, Gate: rig.Gate, Sessions: rig.Sessions, Devices: session.NewDevices(rig.Ring, rand.Reader),
		Computers: session.NewComputers(rig.Ring, shared, rig.DB.Now), Directory: relyingparty.NewDirectory(rig.DB),
		Services:     func(_ *db.Tx, sid string) ([]string, error) { return h.services[sid], nil },
		Requirements: requirements, App: rig.App, MailCode: rig.MailCode, Recovery: rig.Recovery,
		Frames: func(_ context.Context, sid string) ([]string, error) {
			if sid == "" {
				return nil, nil
			}
			return []string{"https://ers.example.nhs.uk/frontchannel?sid=" + sid}, nil
		},
		Network: func(*http.Request) netip.Addr { return h.network },
		Random:  rand.Reader,
	})
	h.fill()
	mux := http.NewServeMux()
	kit.Routes(mux)
	h.Routes(mux)
	mux.HandleFunc("GET /signin", h.SignInRoom)
	mux.HandleFunc("GET /help/lost-phone", func(w http.ResponseWriter, r *http.Request) {})
	h.handler = kit.Wrap(mux)
	return h
}

// fill makes the people: Amara and Helen, each with an authenticator app.
func (h *house) fill() {
	h.t.Helper()
	list, err := care.ParseAllowList(strings.Fields("nhs.net nhs.uk .nhs.uk gov.uk .gov.uk ac.uk .ac.uk gmail.com googlemail.com hotmail.com yahoo.com live.com outlook.com"))
	h.must(err)
	h.Write(func(tx *db.Tx) error { return person.SetAllowList(tx, list) })
	h.People(
		person.Person{UID: amara, Title: "Dr", GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3, Email: amaraMail, Memberships: map[string]string{"gmc_id": "7654321"}},
		person.Person{UID: helen, Title: "Mrs", GivenName: "Helen", FamilyName: "MARSH", IDAssuranceLevel: 3, Email: helenMail},
	)
	h.Phone(amara, gatetest.Amara.Secret)
	h.Phone(helen, gatetest.Helen.Secret)
}

// record is somebody's authenticator.
func (h *house) record(uid care.UID) credential.Record {
	h.t.Helper()
	return h.Held(uid)[0]
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// phone is what somebody's app shows now.
func (h *house) phone(uid care.UID) string {
	h.t.Helper()
	codes, err := h.App.DemoCodes(h.t.Context())
	h.must(err)
	for _, c := range codes {
		if c.UID == uid {
			return c.Code
		}
	}
	h.t.Fatalf("%s has no phone", uid)
	return ""
}

// browser is somebody's browser, whose every page is checked.
type browser struct {
	*pagetest.Browser
	h *house
}

func (h *house) browser() *browser { return &browser{pagetest.Client(h.t, h.handler), h} }

func (b *browser) get(path string) *browser {
	b.h.t.Helper()
	b.Get(path).Check()
	return b
}

func (b *browser) submit(action string, pairs ...string) *browser {
	b.h.t.Helper()
	b.Submit(action, pagetest.Fields(pairs...)).Check()
	return b
}

func (b *browser) sees(status int, words ...string) *browser {
	b.h.t.Helper()
	b.Sees(status, words...)
	return b
}

func (b *browser) isAt(path string) *browser { b.h.t.Helper(); b.IsAt(path); return b }
