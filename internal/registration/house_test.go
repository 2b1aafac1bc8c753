package registration

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

// Amara has an authenticator app, Priya a verified address and no
// authenticator, Owen an address that nobody has verified, Ines one whose
// domain is not accepted, Karl none.
const (
	amara = care.UID("555000100101")
	priya = care.UID("555000100102")
	owen  = care.UID("555000100107")
	ines  = care.UID("555000100108")
	karl  = care.UID("555000100109")

	amaraMail = care.Email("amara.osei@nhs.net")
	priyaMail = care.Email("priya.raman@gmail.com")
	owenMail  = care.Email("owen.price@nhs.net")
	inesMail  = care.Email("ines@example.com")

	oldPassword = gatetest.Password
	newPassword = "violet kettle marsh"
)

// house is the room with real neighbours below it. Only the way that signs
// people in is not there: whoever comes to its door is signed in at once.
type house struct {
	*Registration
	*gatetest.Rig
	*gatetest.Door
	t       *testing.T
	handler http.Handler
}

func newHouse(t *testing.T) *house {
	t.Helper()
	rig := gatetest.Empty(t, access.Schema)
	requirements := journey.NewRequirements(rig.Ring, rig.DB.Now)
	h := &house{t: t, Rig: rig, Door: rig.Door(amara, requirements)}
	kit := pagetest.Kit(t)
	h.Registration = New(Options{
		DB: rig.DB, Kit: kit, Ring: rig.Ring, Gate: rig.Gate, Sessions: rig.Sessions, Devices: session.NewDevices(rig.Ring, rand.Reader),
		Requirements: requirements, App: rig.App, FIDO: rig.FIDO,
		MailCode: rig.MailCode, Link: rig.Link, Recovery: rig.Recovery,
		Network: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") },
		Random:  rand.Reader,
	})
	h.fill()
	mux := http.NewServeMux()
	kit.Routes(mux)
	h.Routes(mux)
	mux.HandleFunc("GET /signin", h.SignInRoom)
	h.handler = kit.Wrap(mux)
	return h
}

func (h *house) fill() {
	h.t.Helper()
	list, err := care.ParseAllowList([]string{"nhs.net", ".nhs.uk", "gmail.com"})
	h.must(err)
	h.Write(func(tx *db.Tx) error { return person.SetAllowList(tx, list) })
	h.People(
		person.Person{UID: amara, Title: "Dr", GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3, Email: amaraMail},
		person.Person{UID: priya, Title: "Ms", GivenName: "Priya", FamilyName: "RAMAN", IDAssuranceLevel: 3, Email: priyaMail},
		person.Person{UID: owen, GivenName: "Owen", FamilyName: "PRICE", IDAssuranceLevel: 3, Pending: owenMail},
		person.Person{UID: ines, GivenName: "Ines", FamilyName: "MOTA", IDAssuranceLevel: 3, Pending: inesMail},
		person.Person{UID: karl, GivenName: "Karl", FamilyName: "BERG", IDAssuranceLevel: 3},
	)
	h.Phone(amara, gatetest.Amara.Secret)
}

func (h *house) endSessions(uid care.UID) {
	h.t.Helper()
	h.Write(func(tx *db.Tx) error { return session.EndAll(tx, uid, "signed out") })
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// linkFor makes a registration link for a phone as an RA would, and returns its
// path; linkTo makes one for another type.
func (h *house) linkFor(uid care.UID) string { return h.linkTo(uid, care.AuthenticatorApp) }

func (h *house) linkTo(uid care.UID, method care.Method) string {
	h.t.Helper()
	token, err := h.Link.Create(h.t.Context(), uid, method, "operator")
	h.must(err)
	return pathLink + "?t=" + token
}

// waiting is the number that the RA sees for a link, and the link's name.
func (h *house) waiting(path string) (id, number string) {
	h.t.Helper()
	l, _ := h.Link.Peek(h.t.Context(), strings.TrimPrefix(path, pathLink+"?t="))
	if l.State != link.Waiting {
		h.t.Fatalf("the link is %s, not waiting", l.State)
	}
	return l.ID, l.Number
}

// browser is somebody's browser, whose every page is checked.
type browser struct {
	*pagetest.Browser
	h *house
}

func (h *house) browser() *browser { return &browser{pagetest.Client(h.t, h.handler), h} }

func (b *browser) other() *browser { return &browser{b.Other(), b.h} }

// lost is the address to which the sign-in room leads this browser when its
// holder has no phone.
func (b *browser) lost(ticket string) string {
	b.h.t.Helper()
	b.Get("/help") // gives it its mark
	for _, c := range b.Cookies() {
		if c.Name == "__Host-browser" {
			sealer := journey.New(b.h.Ring, journey.PhoneLost, app.RecoveryLife, b.h.DB.Now, b.h.Random)
			sealed, err := journey.Seal(sealer, c.Value, journey.Begin(sealer, "", ticket))
			b.h.must(err)
			return pathRecover + "?ticket=" + sealed
		}
	}
	b.h.t.Fatal("the browser has no mark")
	return ""
}

// handed goes there.
func (b *browser) handed(ticket string) *browser { return b.get(b.lost(ticket)) }

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

// hasSeedWords compares the page with the golden file of the seed's words.
func (b *browser) hasSeedWords(page string) *browser {
	b.h.t.Helper()
	for _, words := range pagetest.SeedWords(b.h.t, page) {
		if !strings.Contains(b.Text(), words) {
			b.h.t.Errorf("%s does not have the seed's words %q:\n%s", b.At, words, b.Text())
		}
	}
	return b
}

var otpauth = regexp.MustCompile(`href="(otpauth://[^"]+)"`)

// scanned is the secret on the page of the QR code.
func (b *browser) scanned() string {
	b.h.t.Helper()
	found := otpauth.FindStringSubmatch(b.Page)
	if found == nil {
		b.h.t.Fatalf("no otpauth: link on %s:\n%s", b.At, b.Text())
	}
	u, err := url.Parse(strings.ReplaceAll(found[1], "&amp;", "&"))
	b.h.must(err)
	return u.Query().Get("secret")
}

// The walks below go from the page that is shown to the one they name.

func (b *browser) toInbox(address care.Email) *browser {
	b.h.t.Helper()
	return b.isAt(pathEmail).submit("", "email", string(address)).isAt(pathCode)
}

func (b *browser) toPassword(address care.Email) *browser {
	b.h.t.Helper()
	return b.toInbox(address).submit("", "code", b.h.Emailed(address)).isAt(pathPassword)
}

// toVerify returns the secret that was on the page of the QR code.
func (b *browser) toVerify(address care.Email) string {
	b.h.t.Helper()
	return b.toPassword(address).choosePassword()
}

func (b *browser) choosePassword() string {
	b.h.t.Helper()
	b.submit("", "password", newPassword, "confirm", newPassword).isAt(pathScan)
	secret := b.scanned()
	b.submit("").isAt(pathVerify)
	return secret
}

// starts opens a page of instructions and begins.
func (b *browser) starts(path string) *browser {
	b.h.t.Helper()
	return b.get(path).sees(200, "Register Microsoft Authenticator").submit("", "confirm", "yes").isAt(pathEmail)
}
