package account

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

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/notice"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
)

const (
	amara = care.UID("555000100101")
	helen = care.UID("555000100103")

	amaraMail     = care.Email("amara.osei@nhs.net")
	helenMail     = care.Email("helen.marsh@northmoor.nhs.uk")
	amaraPassword = "harbour lamp 42 otter"
)

// house is the room with real neighbours below it. Only the way that signs
// people in is not there: whoever is named by who is signed in at once.
type house struct {
	*Account
	t       *testing.T
	clock   atomic.Pointer[time.Time]
	opener  session.Opener
	handler http.Handler
	// who is signed in by /signin; "" shows its page instead.
	who   care.UID
	asked []care.Requirement

	mu    sync.Mutex
	mails []outbox.Mail
	came  chan struct{}
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, who: amara, came: make(chan struct{}, 100)}
	h.at(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	d := dbtest.OpenAt(t, func() time.Time { return *h.clock.Load() },
		audit.Schema, outbox.Schema, throttle.Schema, person.Schema, organisation.Schema, access.Schema,
		notice.Schema, credential.Schema, app.Schema, mailcode.Schema, recovery.Schema, session.Schema)
	ring := keys.NewRing(keys.Root{1})
	box, err := outbox.New(d, ring, outbox.Options{Service: "Care Identity", Operator: "Leeds Care Trust", From: "no-reply@example.nhs.uk", Send: h.receive})
	if err != nil {
		t.Fatal(err)
	}
	sessions, opener, err := session.New(d, session.Options{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	limits, binder := throttle.New(ring, throttle.Limits{}), credential.NewBinder()
	g := gate.New(gate.Options{
		DB: d, Ring: ring, Opener: opener, Binder: binder, Outbox: box, Demo: true, Random: rand.Reader,
		Link: func(path string) string { return "https://id.example.nhs.uk" + path },
	})
	cost := app.Cost{MemoryKiB: 64, Time: 1, Threads: 1}
	notMe := func(care.UID, string) (string, error) { return "https://id.example.nhs.uk/not-me", nil }
	apps := app.New(app.Options{
		DB: d, Ring: ring, Throttle: limits, Outbox: box, NotMe: notMe, Random: rand.Reader, Cost: cost, Dev: true,
	})
	kit := pagetest.Kit(t)
	h.opener = opener
	h.Account = New(Options{
		DB: d, Kit: kit, Ring: ring, Gate: g, Sessions: sessions, Devices: session.NewDevices(ring, rand.Reader),
		Requirements: journey.NewRequirements(ring, d.Now), App: apps,
		MailCode: mailcode.New(mailcode.Options{DB: d, Ring: ring, Outbox: box, Throttle: limits, Random: rand.Reader}),
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
	mux.HandleFunc("GET /help/lost-phone", func(w http.ResponseWriter, r *http.Request) {})
	h.handler = kit.Wrap(mux)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); box.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

// fill makes the people: Amara and Helen, each with an authenticator app.
func (h *house) fill() {
	h.t.Helper()
	list, err := care.ParseAllowList(strings.Fields("nhs.net nhs.uk .nhs.uk gov.uk .gov.uk ac.uk .ac.uk gmail.com googlemail.com hotmail.com yahoo.com live.com outlook.com"))
	h.must(err)
	h.write(func(tx *db.Tx) error {
		if err := person.SetAllowList(tx, list); err != nil {
			return err
		}
		for _, p := range []person.Person{
			{UID: amara, Title: "Dr", GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3, Email: amaraMail, Memberships: map[string]string{"gmc_id": "7654321"}},
			{UID: helen, Title: "Mrs", GivenName: "Helen", FamilyName: "MARSH", IDAssuranceLevel: 3, Email: helenMail},
		} {
			if err := person.Create(tx, p); err != nil {
				return err
			}
		}
		return nil
	})
	for uid, secret := range map[care.UID]string{amara: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", helen: "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"} {
		enrolment, err := h.App.FromWorld(h.t.Context(), uid, amaraPassword, secret)
		h.must(err)
		h.write(func(tx *db.Tx) error { _, err := h.Gate.BindDemo(tx, enrolment); return err })
	}
}

// signInRoom stands where /signin is: it signs h.who in and goes back.
func (h *house) signInRoom(w http.ResponseWriter, r *http.Request) {
	req, err := h.Requirements.OpenRequirement(r.URL.Query().Get("req"))
	if err != nil || h.who == "" {
		http.Error(w, "the sign-in page", http.StatusOK)
		return
	}
	h.asked = append(h.asked, req)
	session.SetCookie(w, h.open(h.who))
	http.Redirect(w, r, req.ReturnTo, http.StatusSeeOther)
}

// open opens a session and returns its token.
func (h *house) open(uid care.UID) string {
	h.t.Helper()
	token, sid := h.opener.NewToken()
	record := h.record(uid)
	h.write(func(tx *db.Tx) error {
		_, err := h.opener.Open(tx, session.Opening{
			Token: token, SID: sid, UID: uid, AAL: care.AAL2, Method: care.AuthenticatorApp, AuthenticatorID: record.ID, Terms: "1",
		})
		return err
	})
	return token
}

func (h *house) record(uid care.UID) credential.Record {
	h.t.Helper()
	record, err := h.own(h.t.Context(), uid, func(credential.Record) bool { return true })
	h.must(err)
	return record
}

func (h *house) person(uid care.UID) person.Person {
	h.t.Helper()
	var p person.Person
	h.must(h.DB.Read(h.t.Context(), func(tx *db.Tx) error {
		var err error
		p, err = person.ByUID(tx, uid)
		return err
	}))
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
	h.must(h.DB.Write(h.t.Context(), fn))
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
		h.mu.Lock()
		for i := len(h.mails) - 1; i >= 0; i-- {
			if m := h.mails[i]; m.To == to && m.Template == template {
				h.mails = append(h.mails[:i], h.mails[i+1:]...)
				h.mu.Unlock()
				return m
			}
		}
		h.mu.Unlock()
		select {
		case <-h.came:
		case <-deadline:
			h.t.Fatalf("no mail %s came", template)
		}
	}
}

var eightDigits = regexp.MustCompile(`\b[0-9]{8}\b`)

// code is the one in the newest mail to somebody.
func (h *house) code(to care.Email) string {
	h.t.Helper()
	return eightDigits.FindString(h.mail(to, outbox.OneTimePassword).Text)
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

// visitor is a browser whose every page is checked.
type browser struct {
	*pagetest.Browser
	h *house
}

func (h *house) browser() *browser { return &browser{pagetest.Client(h.t, h.handler), h} }

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
		b.h.t.Fatalf("the browser is at %s, want %s:\n%s", at, path, b.Text())
	}
	return b
}

// seedWords are the words that a page keeps.
func seedWords(t *testing.T, id string) []string {
	t.Helper()
	content, err := os.ReadFile("../server/testdata/seed-words.txt")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for line := range strings.Lines(string(content)) {
		if name, text, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && name == id {
			words = append(words, text)
		}
	}
	if len(words) == 0 {
		t.Fatalf("no words for %q", id)
	}
	return words
}
