package registration

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
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

	oldPassword = "harbour lamp 42 otter"
	newPassword = "violet kettle marsh"
)

// house is the room with real neighbours below it. Only the way that signs
// people in is not there: its stand-in signs in whoever is named by who.
type house struct {
	*Registration
	t       *testing.T
	clock   atomic.Pointer[time.Time]
	opener  session.Opener
	handler http.Handler
	who     care.UID
	level   care.AAL
	asked   []care.Requirement

	mu    sync.Mutex
	mails []outbox.Mail
	came  chan struct{}
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, who: amara, level: care.AAL2, came: make(chan struct{}, 1000)}
	h.at(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	d := dbtest.OpenAt(t, func() time.Time { return *h.clock.Load() },
		audit.Schema, outbox.Schema, throttle.Schema, person.Schema, credential.Schema, app.Schema,
		mailcode.Schema, link.Schema, recovery.Schema, session.Schema)
	ring := keys.NewRing(keys.Root{1})
	box, err := outbox.New(d, ring, outbox.Options{
		Service: "Care Identity", Operator: "Leeds Care Trust", From: "no-reply@example.nhs.uk", Send: h.receive,
	})
	h.must(err)
	sessions, opener, err := session.New(d, session.Options{Random: rand.Reader})
	h.must(err)
	limits := throttle.New(ring, throttle.Limits{})
	g := gate.New(gate.Options{
		DB: d, Ring: ring, Opener: opener, Binder: credential.NewBinder(), Outbox: box, Demo: true, Random: rand.Reader,
		Link: func(path string) string { return "https://id.example.nhs.uk" + path },
	})
	cost := app.Cost{MemoryKiB: 64, Time: 1, Threads: 1}
	notMe := func(care.UID, string) (string, error) { return "https://id.example.nhs.uk/not-me", nil }
	apps := app.New(app.Options{
		DB: d, Ring: ring, Throttle: limits, Outbox: box, NotMe: notMe, Random: rand.Reader, Cost: cost, Dev: true,
	})
	kit := pagetest.Kit(t)
	h.opener = opener
	h.Registration = New(Options{
		DB: d, Kit: kit, Ring: ring, Gate: g, Sessions: sessions, Devices: session.NewDevices(ring, rand.Reader),
		Requirements: journey.NewRequirements(ring, d.Now), App: apps,
		MailCode: mailcode.New(mailcode.Options{DB: d, Ring: ring, Outbox: box, Throttle: limits, Random: rand.Reader}),
		Link:     link.New(d, rand.Reader),
		Recovery: recovery.New(recovery.Options{
			DB: d, Ring: ring, Throttle: limits, Outbox: box, NotMe: notMe, Random: rand.Reader, Cost: cost, Pool: apps.Pool(),
		}),
		Network: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") },
		Random:  rand.Reader,
	})
	h.fill()
	mux := http.NewServeMux()
	kit.Routes(mux)
	h.Routes(mux)
	mux.HandleFunc("GET /signin", h.signInRoom)
	h.handler = kit.Wrap(mux)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); box.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

func (h *house) fill() {
	h.t.Helper()
	list, err := care.ParseAllowList([]string{"nhs.net", ".nhs.uk", "gmail.com"})
	h.must(err)
	h.write(func(tx *db.Tx) error {
		if err := person.SetAllowList(tx, list); err != nil {
			return err
		}
		for _, p := range []person.Person{
			{UID: amara, Title: "Dr", GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3, Email: amaraMail},
			{UID: priya, Title: "Ms", GivenName: "Priya", FamilyName: "RAMAN", IDAssuranceLevel: 3, Email: priyaMail},
			{UID: owen, GivenName: "Owen", FamilyName: "PRICE", IDAssuranceLevel: 3, Pending: owenMail},
			{UID: ines, GivenName: "Ines", FamilyName: "MOTA", IDAssuranceLevel: 3, Pending: inesMail},
			{UID: karl, GivenName: "Karl", FamilyName: "BERG", IDAssuranceLevel: 3},
		} {
			if err := person.Create(tx, p); err != nil {
				return err
			}
		}
		return nil
	})
	enrolment, err := h.App.FromWorld(h.t.Context(), amara, oldPassword, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
	h.must(err)
	h.write(func(tx *db.Tx) error { _, err := h.Gate.BindDemo(tx, enrolment); return err })
}

// signInRoom stands where /signin is: it signs h.who in and goes back.
func (h *house) signInRoom(w http.ResponseWriter, r *http.Request) {
	req, err := h.Requirements.OpenRequirement(r.URL.Query().Get("req"))
	if err != nil || h.who == "" {
		http.Error(w, "the sign-in page", http.StatusOK)
		return
	}
	h.asked = append(h.asked, req)
	session.SetCookie(w, h.opens(h.who, h.level))
	http.Redirect(w, r, req.ReturnTo, http.StatusSeeOther)
}

// opens opens a session and returns its token: with the person's app, or with
// a method of a later issue, of which this room knows nothing.
func (h *house) opens(uid care.UID, level care.AAL) string {
	h.t.Helper()
	token, sid := h.opener.NewToken()
	o := session.Opening{Token: token, SID: sid, UID: uid, AAL: level, Method: care.Smartcard, Terms: "1"}
	if held := h.held(uid); len(held) > 0 {
		o.Method, o.AuthenticatorID = held[0].Method, held[0].ID
	}
	h.write(func(tx *db.Tx) error { _, err := h.opener.Open(tx, o); return err })
	return token
}

func (h *house) endSessions(uid care.UID) {
	h.t.Helper()
	h.write(func(tx *db.Tx) error { return session.EndAll(tx, uid, "signed out") })
}

func (h *house) held(uid care.UID) []credential.Record {
	h.t.Helper()
	_, held, err := h.holder(context.Background(), uid)
	h.must(err)
	return held
}

func (h *house) person(uid care.UID) person.Person {
	h.t.Helper()
	p, _, err := h.holder(context.Background(), uid)
	h.must(err)
	return p
}

// rows counts the rows of a table that match a condition.
func (h *house) rows(query string) int {
	h.t.Helper()
	var n int
	h.must(h.DB.Read(h.t.Context(), func(tx *db.Tx) error { return tx.Row("SELECT count(*) FROM " + query).Scan(&n) }))
	return n
}

func (h *house) write(fn func(tx *db.Tx) error) {
	h.t.Helper()
	h.must(h.DB.Write(context.Background(), fn))
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) at(now time.Time) { h.clock.Store(&now) }

func (h *house) later(d time.Duration) { h.at(h.clock.Load().Add(d)) }

func (h *house) receive(_ context.Context, m outbox.Mail) error {
	h.mu.Lock()
	h.mails = append(h.mails, m)
	h.mu.Unlock()
	h.came <- struct{}{}
	return nil
}

// mail waits for the newest mail of a kind to somebody, and takes it.
func (h *house) mail(to care.Email, template string) outbox.Mail {
	h.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		if m, ok := h.taken(to, template); ok {
			return m
		}
		select {
		case <-h.came:
		case <-deadline:
			h.t.Fatalf("no mail %s came", template)
		}
	}
}

func (h *house) taken(to care.Email, template string) (outbox.Mail, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.mails) - 1; i >= 0; i-- {
		if m := h.mails[i]; m.To == to && m.Template == template {
			h.mails = append(h.mails[:i], h.mails[i+1:]...)
			return m, true
		}
	}
	return outbox.Mail{}, false
}

var eightDigits = regexp.MustCompile(`\b[0-9]{8}\b`)

// emailed is the code in the newest mail to somebody.
func (h *house) emailed(to care.Email) string {
	h.t.Helper()
	return eightDigits.FindString(h.mail(to, outbox.OneTimePassword).Text)
}

// linkFor makes a registration link as an RA would, and returns its path.
func (h *house) linkFor(uid care.UID) string {
	h.t.Helper()
	token, err := h.Link.Create(h.t.Context(), uid, care.AuthenticatorApp, "operator")
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

func (b *browser) get(path string) *browser {
	b.h.t.Helper()
	b.Get(path)
	return b.check()
}

func (b *browser) submit(action string, pairs ...string) *browser {
	b.h.t.Helper()
	fields := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		fields.Set(pairs[i], pairs[i+1])
	}
	b.Submit(action, fields)
	return b.check()
}

func (b *browser) check() *browser {
	b.h.t.Helper()
	if strings.HasPrefix(b.Header.Get("Content-Type"), "text/html") {
		pagetest.Check(b.h.t, b.Page)
	}
	return b
}

// sees fails the test unless the page has this status and these words.
func (b *browser) sees(status int, words ...string) *browser {
	b.h.t.Helper()
	if b.Status != status {
		b.h.t.Fatalf("%s answered %d, want %d:\n%s", b.At, b.Status, status, b.Text())
	}
	for _, w := range words {
		if !strings.Contains(b.Text(), w) {
			b.h.t.Fatalf("%s does not say %q:\n%s", b.At, w, b.Text())
		}
	}
	return b
}

func (b *browser) isAt(path string) *browser {
	b.h.t.Helper()
	if at, _, _ := strings.Cut(b.At, "?"); at != path {
		b.h.t.Fatalf("the browser is at %s (%d), want %s:\n%s", at, b.Status, path, b.Text())
	}
	return b
}

// hasSeedWords compares the page with the golden file of the seed's words.
func (b *browser) hasSeedWords(id string) *browser {
	b.h.t.Helper()
	content, err := os.ReadFile("../server/testdata/seed-words.txt")
	b.h.must(err)
	found := false
	for line := range strings.Lines(string(content)) {
		name, words, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || name != id {
			continue
		}
		found = true
		if !strings.Contains(b.Text(), words) {
			b.h.t.Errorf("%s does not have the seed's words %q:\n%s", b.At, words, b.Text())
		}
	}
	if !found {
		b.h.t.Fatalf("the golden file has no words for %q", id)
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

// phone is what an app with the secret shows at the house's time.
func (h *house) phone(secret string) string {
	h.t.Helper()
	code, err := totp.GenerateCode(secret, *h.clock.Load())
	h.must(err)
	return code
}

// The walks below go from the page that is shown to the one they name.

func (b *browser) toInbox(address care.Email) *browser {
	b.h.t.Helper()
	return b.isAt(pathEmail).submit("", "email", string(address)).isAt(pathCode)
}

func (b *browser) toPassword(address care.Email) *browser {
	b.h.t.Helper()
	return b.toInbox(address).submit("", "code", b.h.emailed(address)).isAt(pathPassword)
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
