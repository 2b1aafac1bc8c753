package account

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/notice"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/page/pagetest/chromium"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

func TestMain(m *testing.M) { os.Exit(chromium.Main(m)) }

func TestPagesForEveryReader(t *testing.T) { // the bar for pages: axe, and 320 pixels (WCAG 2.2, 1.4.10)
	h := newHouse(t)
	states := h.walk()
	server := pagetest.Client(t, h.showing(states))
	tab := chromium.Tab(t)
	for i, state := range states {
		if err := chromedp.Do(tab, chromedp.EmulateViewport(320, 900), chromedp.Navigate(fmt.Sprintf("%s/state/%d", server.URL, i))); err != nil {
			t.Fatal(err)
		}
		overflow, err := chromedp.Run(tab, chromedp.Evaluate[int](`document.documentElement.scrollWidth - window.innerWidth`))
		if err != nil {
			t.Fatal(err)
		}
		if overflow > 0 {
			t.Errorf("%s is %d pixels too wide at 320", state.name, overflow)
		}
		chromium.Axe(t, tab, state.name)
	}
}

// state is one page as somebody saw it.
type state struct{ name, page string }

// showing serves the pages of states with the assets that they need.
func (h *house) showing(states []state) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", h.Kit.Static())
	mux.HandleFunc("GET /state/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n >= len(states) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if _, err := io.WriteString(w, states[n].page); err != nil {
			h.t.Error(err)
		}
	})
	return mux
}

// walk goes through every page of the room and every kind of mistake.
func (h *house) walk() []state {
	h.t.Helper()
	h.furnish()
	var states []state
	keep := func(name string, b *browser) *browser {
		states = append(states, state{name, b.Page})
		return b
	}
	b := h.browser()
	keep("home", b.get("/cim/"))
	keep("profile", b.get("/cim/profile"))
	keep("email", b.get("/cim/profile/email"))
	keep("email refused", b.submit("", "email", "amara.osei@"+strings.Repeat("long", 15)+".example"))
	keep("inbox", b.submit("", "email", string(newMail)))
	keep("inbox, wrong code", b.submit("", "code", "00000000"))
	h.Emailed(newMail)
	h.Clock.Later(mailcode.Pause)
	b.Submit("", url.Values{"again": {"yes"}})
	keep("inbox, another code", b)
	keep("profile, address waits", h.browser().get("/cim/profile"))
	keep("verify", h.browser().get("/cim/profile/email/verify"))
	keep("email done", b.submit("", "code", h.Emailed(newMail)))
	keep("authenticators", b.get("/cim/authenticators"))
	h.Holds(amara, care.SecurityKey, "key", "Key on the lanyard of my other coat 2026")
	keep("rename", b.get("/cim/authenticators/rename?id=key"))
	keep("rename refused", b.submit("/cim/authenticators/rename", "name", ""))
	keep("renamed", b.submit("/cim/authenticators/rename", "name", "Lanyard"))
	keep("lost key", b.get("/cim/authenticators/lost?id=key"))
	keep("remove", b.get("/cim/authenticators/remove?id=key"))
	keep("remove the last one", b.submit("/cim/authenticators/remove").get("/cim/authenticators/remove?id="+h.record(amara).ID))
	keep("password", b.get("/cim/password"))
	keep("password refused", b.submit("/cim/password", "password", "short", "confirm", ""))
	keep("password done", b.submit("/cim/password", "password", newPassword, "confirm", newPassword))
	keep("recovery codes", b.get("/cim/recovery-codes"))
	keep("new recovery codes", b.submit("/cim/recovery-codes"))
	keep("lost", b.get("/cim/authenticators/lost?id="+h.record(amara).ID))
	h.elsewhere()
	keep("sign-ins", b.get("/cim/sign-ins"))
	keep("end others?", b.get("/cim/sign-ins/end-others"))
	keep("others ended", b.submit("/cim/sign-ins/end-others"))
	other := h.EnterAs(session.Opening{UID: amara, AAL: care.AAL2})
	keep("end one?", b.get("/cim/sign-ins/end?id="+h.sid(other)))
	keep("sign-in gone", b.get("/cim/sign-ins/end?id=x"))
	keep("timed out", h.browser().get("/cim/timed-out"))
	keep("shared?", b.get(pathShared))
	keep("shared, link", b.get(pathShared+"?t="+h.mark(true)))
	keep("shared now", b.submit(pathShared))
	keep("shared, link to end it", b.get(pathShared+"?t="+h.mark(false)))
	keep("shared, old link", b.get(pathShared+"?t=x"))
	keep("sign out?", h.browser().get("/cim/").get("/signout"))
	keep("not you", h.browser().get("/cim/").submit("/not-you"))
	keep("signed out", h.browser().get("/cim/").submit("/signout"))
	keep("fault", b.get("/cim/profile/email/code?j=forged"))
	return append(states, h.walkForgotten()...)
}

// walkForgotten goes the way of a forgotten password, then says "this wasn't
// me".
func (h *house) walkForgotten() []state {
	h.t.Helper()
	var states []state
	keep := func(name string, b *browser) *browser {
		states = append(states, state{name, b.Page})
		return b
	}
	h.Clock.Later(time.Minute)
	b := h.browser()
	keep("forgotten", b.get(pathForgotten))
	keep("forgotten, mistyped", b.submit("", "email", "x"))
	keep("forgotten inbox", b.submit("", "email", string(newMail)))
	keep("forgotten password", b.submit("", "code", h.Emailed(newMail)))
	keep("forgotten app", b.submit("", "password", newPassword+"2", "confirm", newPassword+"2"))
	keep("forgotten app, mistyped", b.submit("", "code", "12"))
	keep("forgotten done", b.submit("", "code", h.phone(amara)))
	h.Mail(newMail, outbox.PasswordChanged)
	link := notMe.FindString(h.Mail(newMail, outbox.PasswordChanged).Text)
	lost := h.browser().get("/cim/authenticators/lost?id=" + h.record(amara).ID)
	keep("reported", lost.submit("/cim/authenticators/lost"))
	keep("not me", b.get(link))
	keep("not me done", b.submit("/not-me"))
	keep("not me, cut", b.get("/not-me?t=x"))
	keep("authenticators, suspended", h.browser().get("/cim/authenticators"))
	return states
}

// furnish adds what makes pages long: a notice, roles, an address that waits.
func (h *house) furnish() {
	h.t.Helper()
	h.Write(func(tx *db.Tx) error {
		now := tx.Now()
		if err := notice.Put(tx, notice.Notice{
			ID: "upgrade", Show: notice.Window{From: now, Until: now.Add(24 * time.Hour)},
			Text: "Care Identity Management and self-service smartcard unlock will be unavailable from 9:00am to 7:00pm on Saturday 2 January, while we perform system upgrades. We apologise for any inconvenience.",
		}); err != nil {
			return err
		}
		for i := range 2 {
			role := access.Role{
				ID: "55500020010" + strconv.Itoa(i), OrgPersonID: "555000300101", UID: amara, Org: "Z84001", Position: i,
				Code: "S0010:G0020:R0260", Name: `"Clinical":"Clinical Provision":"General Medical Practitioner"`,
				Activities: map[string]string{"B0825": "Amend Patient Demographics", "B0401": "View Patient Medication", "B0420": "Independent Prescribing"},
			}
			if err := access.Put(tx, role); err != nil {
				return err
			}
		}
		return person.SetPending(tx, helen, "helen.marsh@outlook.com")
	})
}
