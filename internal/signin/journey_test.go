package signin

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/page/pagetest"
)

// journeyPages are the pages of a journey, with a form of each.
var journeyPages = map[string]url.Values{
	"/signin/email":    pagetest.Fields("email", string(amara.Email)),
	"/signin/password": pagetest.Fields("password", gatetest.Password),
	"/signin/code":     pagetest.Fields("code", "123456"),
	"/signin/key":      pagetest.Fields("response", "{}", "c", "x"),
	"/signin/no-phone": pagetest.Fields("way", "another"),
}

// broken asks for every page of a journey, and sends every form, with the
// sealed text in place of the journey's.
func (h *house) broken(v *visitor, sealed string, judge func(path string)) {
	h.t.Helper()
	for path, fields := range journeyPages {
		v.get(path + "?j=" + sealed)
		judge("GET " + path)
		form := maps.Clone(fields)
		form.Set("j", sealed)
		v.get("/signin?req=" + h.sealed(ers())) // for the form's token
		v.Post(path, form)
		v.check()
		judge("POST " + path)
	}
}

// sealedAt is the journey of the page that the visitor sees.
func (v *visitor) sealedAt() string { v.h.t.Helper(); return v.address().Query().Get("j") }

// TestJourneyThatIsUnreadableHasAWayOn: cut, edited, or another kind.
func TestJourneyThatIsUnreadableHasAWayOn(t *testing.T) {
	h := newHouse(t)
	v := h.asked(ers()).toCode(amara)
	good := v.sealedAt()
	for _, text := range []string{"", "nonsense", good[:len(good)-2], "A" + good[1:], h.sealed(ers())} {
		h.broken(v, text, func(where string) {
			v.sees(http.StatusBadRequest, "Reference")
			if !strings.Contains(v.Page, `href="/cim/"`) {
				t.Errorf("%s: no way on:\n%s", where, v.Text())
			}
		})
	}
}

func TestJourneyWorksInItsOwnBrowserOnly(t *testing.T) {
	h := newHouse(t)
	sealed := h.asked(ers()).toCode(amara).sealedAt()
	thief := h.visitor()
	h.broken(thief, sealed, func(where string) {
		thief.sees(http.StatusForbidden, "Start again in this browser", "Reference")
		if thief.session() != nil {
			t.Errorf("%s: signed in", where)
		}
	})
}

// TestExpiredJourneyBeginsAgain: after fifteen minutes, at the same service.
func TestExpiredJourneyBeginsAgain(t *testing.T) {
	h := newHouse(t)
	v := h.asked(ers()).toCode(amara)
	sealed := v.sealedAt()
	h.Clock.Later(15*time.Minute - time.Second)
	v.get("/signin/code?j=" + sealed).sees(http.StatusOK)
	h.Clock.Later(2 * time.Second)
	h.broken(v, sealed, func(string) {
		v.sees(http.StatusGone, "Reference").follow("Start signing in again").isAt("/signin")
	})
	v.toCode(amara).code(amara)
	if v.At != ers().ReturnTo {
		t.Errorf("the second try ended at %s", v.At)
	}
}

// TestStepsCannotBeSkipped: no page is reached before what comes before it, and
// each has a way on.
func TestStepsCannotBeSkipped(t *testing.T) {
	h := newHouse(t)
	v := h.asked(ers()).choose()
	atEmail := v.sealedAt()
	v.submit("/signin/email", "email", string(amara.Email))
	atPassword := v.sealedAt()
	for step, c := range map[string]struct {
		sealed string
		paths  []string
	}{
		"email":    {atEmail, []string{"/signin/password", "/signin/code", "/signin/no-phone"}},
		"password": {atPassword, []string{"/signin/email", "/signin/code", "/signin/no-phone"}},
	} {
		for _, path := range c.paths {
			v.get(path+"?j="+c.sealed).sees(http.StatusConflict, "Reference")
			v.get("/signin?req=" + h.sealed(ers()))
			form := maps.Clone(journeyPages[path])
			form.Set("j", c.sealed)
			v.Post(path, form)
			v.check().sees(http.StatusConflict, "Reference").follow("Start signing in again").isAt("/signin")
			if v.session() != nil {
				t.Errorf("from %s to %s: signed in", step, path)
			}
		}
	}
}

var forms = []string{"/signin", "/signin/email", "/signin/password", "/signin/code", "/signin/no-phone", "/signin/role"}

// TestFormsOfMoreThan64KiBAreRefused, and those that another site sends.
func TestFormsOfMoreThan64KiBAreRefused(t *testing.T) {
	h := newHouse(t)
	v := h.asked(ers()).toCode(amara)
	for _, path := range forms {
		v.get("/signin?req=" + h.sealed(ers()))
		v.Post(path, url.Values{"j": {strings.Repeat("x", 64<<10)}})
		v.check().sees(http.StatusRequestEntityTooLarge, "Reference")
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	h := newHouse(t)
	v := h.asked(ers()).toCode(amara)
	code := url.Values{"j": {v.sealedAt()}, "code": {h.Code(amara.Secret)}, "csrf": {"forged"}}
	v.Post("/signin/code", code)
	v.sees(http.StatusForbidden)
	for _, path := range forms {
		if status := v.Raw(http.MethodPost, path, code.Encode(), http.Header{"Origin": {"https://evil.example"}}); status != http.StatusForbidden {
			t.Errorf("%s: %d", path, status)
		}
	}
	if v.session() != nil {
		t.Error("signed in by a form of another site")
	}
}
