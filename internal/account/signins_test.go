package account

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// elsewhere signs Amara in in two more browsers, one of them for e-RS and
// quietly idle since.
func (h *house) elsewhere() (ipad, ward string) {
	h.t.Helper()
	h.Write(func(tx *db.Tx) error {
		return relyingparty.Put(tx, relyingparty.RelyingParty{ClientID: "ers", Name: "e-Referral Service", Profile: relyingparty.CIS2})
	})
	ward = h.EnterAs(session.Opening{UID: amara, AAL: care.AAL3, Browser: "Edge on Windows", Client: "ers", Shared: true})
	h.Clock.Later(20 * time.Minute)
	return h.EnterAs(session.Opening{UID: amara, AAL: care.AAL2, Browser: "Safari on iPad"}), ward
}

// sid is the public name of a sign-in.
func (h *house) sid(token string) string {
	h.t.Helper()
	var name string
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	h.must(err)
	r.AddCookie(&http.Cookie{Name: session.Cookie, Value: token})
	s, err := h.Sessions.Kept(h.t.Context(), r)
	h.must(err)
	if s != nil {
		name = s.SID
	}
	return name
}

// told are those of whose end relying parties are to be told.
func (h *house) told() (all []session.Over) {
	h.t.Helper()
	h.Write(func(tx *db.Tx) (err error) {
		all, err = session.Untold(tx, 100)
		return err
	})
	return all
}

func TestAPersonSeesWhereTheyAreSignedIn(t *testing.T) { // ASVS 7.5.2
	h := newHouse(t)
	_, ward := h.elsewhere()
	h.services[h.sid(ward)] = []string{"ers", "gone"}
	h.Enter(helen, care.AAL2)
	b := h.browser().get("/cim/profile").sees(http.StatusOK, "In this browser and 2 others")
	b.get("/cim/sign-ins").sees(http.StatusOK,
		"Where you are signed in", "This browser", "Safari on iPad", "Care Identity Management", "In the last few minutes",
		"Edge on Windows Not in use", "Services e-Referral Service A service that is no longer registered", "Shared with others", "Services that were opened from it may still be open")
	if n := strings.Count(b.Page, ">End this sign-in<"); n != 2 {
		t.Errorf("%d sign-ins can be ended, want the two others", n)
	}
	if strings.Index(b.Page, "This browser") > strings.Index(b.Page, "Safari on iPad") {
		t.Error("this browser is not the first")
	}
}

func TestAPersonEndsASignInElsewhere(t *testing.T) { // ASVS 7.5.2
	h := newHouse(t)
	ipad, ward := h.elsewhere()
	b := h.browser().get("/cim/sign-ins")
	b.get("/cim/sign-ins/end?id="+h.sid(ipad)).sees(http.StatusOK, "End this sign-in", "Safari on iPad")
	if h.Alive(ipad) == nil {
		t.Fatal("looking ended it")
	}
	b.submit("/cim/sign-ins/end").isAt("/cim/sign-ins").sees(http.StatusOK, "The sign-in with Safari on iPad has ended", "We tell the services")
	if h.Alive(ipad) != nil || h.sid(ward) == "" {
		t.Error("want that one ended, and no other")
	}
	told := h.told()
	if len(told) != 1 || told[0].Why != endedByHolder {
		t.Errorf("relying parties are told %+v", told)
	}
	if h.Count("audit_entry WHERE action = 'session.ended'") != 1 {
		t.Error("no audit entry")
	}
	b.get("/cim/sign-ins").sees(http.StatusOK, "Where you are signed in")
	if strings.Contains(b.Page, "has ended") {
		t.Error("the page says for ever what was done once")
	}
}

func TestAPersonEndsAllOtherSignIns(t *testing.T) {
	h := newHouse(t)
	ipad, ward := h.elsewhere()
	helens := h.Enter(helen, care.AAL2)
	b := h.browser().get("/cim/sign-ins").get("/cim/sign-ins/end-others")
	b.sees(http.StatusOK, "You stay signed in here", "Safari on iPad", "Edge on Windows")
	b.submit("/cim/sign-ins/end-others").isAt("/cim/sign-ins").sees(http.StatusOK, "2 other sign-ins have ended", "You are signed in nowhere else")
	if h.Alive(ipad) != nil || h.sid(ward) != "" || h.Alive(helens) == nil {
		t.Error("want Amara's two others ended, the idle one too, and Helen's alive")
	}
	if told := h.told(); len(told) != 2 {
		t.Errorf("relying parties are told of %d", len(told))
	}
	b.get("/cim/sign-ins/end-others").isAt("/cim/sign-ins")
	b.get("/cim/profile").sees(http.StatusOK, "In this browser only")
}

// TestEndingSignInsTakesAFreshSignIn is ASVS 7.5.2: whoever finds a browser
// open does not throw its user out everywhere else.
func TestEndingSignInsTakesAFreshSignIn(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/sign-ins")
	ipad, _ := h.elsewhere()
	h.Clock.Later(gate.Fresh)
	b.get("/cim/sign-ins").sees(http.StatusOK, "Safari on iPad")
	h.Who = ""
	for _, path := range []string{"/cim/sign-ins/end?id=" + h.sid(ipad), "/cim/sign-ins/end-others"} {
		b.Get(path)
		b.isAt("/signin")
	}
	h.Who = amara
	b.get("/cim/sign-ins/end?id="+h.sid(ipad)).isAt("/cim/sign-ins/end").sees(http.StatusOK, "Safari on iPad")
	h.Clock.Later(gate.Fresh + time.Second)
	b.submit("/cim/sign-ins/end").isAt("/cim/sign-ins/end").sees(http.StatusOK, "Safari on iPad")
	if h.Alive(ipad) == nil {
		t.Error("a sign-in that was too old ended another")
	}
	b.submit("/cim/sign-ins/end").isAt("/cim/sign-ins")
	if h.Alive(ipad) != nil {
		t.Error("the sign-in lives on")
	}
}

func TestNobodyEndsTheSignInOfAnother(t *testing.T) {
	h := newHouse(t)
	helens := h.Enter(helen, care.AAL2)
	b := h.browser().get("/cim/sign-ins")
	var own string
	h.Read(func(tx *db.Tx) error { return tx.Row(`SELECT sid FROM session WHERE uid = $1`, amara).Scan(&own) })
	for _, id := range []string{h.sid(helens), own, "", "x' OR 1=1"} {
		b.get("/cim/sign-ins/end?id="+url.QueryEscape(id)).sees(http.StatusNotFound, "This sign-in has ended already", "See where you are signed in")
		b.get("/cim/sign-ins")
		b.Post("/cim/sign-ins/end", url.Values{"id": {id}})
		b.sees(http.StatusNotFound, "This sign-in has ended already")
	}
	if h.Alive(helens) == nil || h.Count("session WHERE ended_at = 0") != 2 {
		t.Error("a sign-in ended")
	}
}

// TestASignOutReachesServicesAlsoWhenIdle: decision 7.
func TestASignOutReachesServicesAlsoWhenIdle(t *testing.T) {
	for action, why := range map[string]string{"/signout": "signed out", "/not-you": "holder was another person"} {
		h := newHouse(t)
		b := h.browser().get("/cim/profile")
		h.Clock.Later(2 * time.Hour)
		b.submit(action).isAt(action)
		if told := h.told(); len(told) != 1 || told[0].Why != why {
			t.Errorf("%s: relying parties are told %+v", action, told)
		}
	}
}
