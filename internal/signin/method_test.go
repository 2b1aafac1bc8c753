package signin

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/page/pagetest"
)

// working are the methods that can be used.
var working = []care.Method{care.WindowsHello, care.SecurityKey, care.AuthenticatorApp, care.Passkey}

// TestMethodsOfTheServiceInTheSeedsOrder: what is asked for and what the
// service accepts, both, in the order of seed 0; what is not there yet cannot
// be chosen.
func TestMethodsOfTheServiceInTheSeedsOrder(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		acr     care.ACR
		methods []care.Method
		want    []care.Method
	}{
		"everything": {care.AAL2OrAAL3Any, care.Methods(), []care.Method{
			care.Smartcard, care.WindowsHello, care.SecurityKey, care.IPadApp, care.AuthenticatorApp, care.NHSmail, care.Passkey,
		}},
		"AAL3":                   {care.AAL3Any, care.Methods(), []care.Method{care.Smartcard, care.WindowsHello, care.SecurityKey, care.IPadApp}},
		"AAL2":                   {care.AAL2Any, care.Methods(), []care.Method{care.AuthenticatorApp, care.NHSmail, care.Passkey}},
		"in another order":       {care.AAL2OrAAL3Any, []care.Method{care.Passkey, care.AuthenticatorApp, care.Smartcard}, []care.Method{care.Smartcard, care.AuthenticatorApp, care.Passkey}},
		"AAL3 of a small choice": {care.AAL3Any, []care.Method{care.AuthenticatorApp, care.SecurityKey}, []care.Method{care.SecurityKey}},
		"none that works yet":    {care.AAL3Any, []care.Method{care.Smartcard, care.IPadApp}, []care.Method{care.Smartcard, care.IPadApp}},
		"one method":             {"AAL2_TOTP", care.Methods(), []care.Method{care.AuthenticatorApp}},
		"none in common":         {"AAL2_TOTP", []care.Method{care.Smartcard}, nil},
	} {
		req := ers()
		req.ACR, req.Methods = c.acr, c.methods
		v := h.asked(req).sees(http.StatusOK, "Select your login method", "to sign in to e-Referral Service", "Terms and Conditions")
		var want []choice
		for _, m := range c.want {
			want = append(want, choice{string(m), !slices.Contains(working, m)})
		}
		if got := v.choices("method"); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		usable := slices.ContainsFunc(c.want, func(m care.Method) bool { return slices.Contains(working, m) })
		if strings.Contains(v.Text(), "You cannot sign in here yet") == usable {
			t.Errorf("%s: want a sentence if there is no way to go on:\n%s", name, v.Text())
		}
		if !usable {
			v.follow("Cancel and go back to e-Referral Service").isAt("/authorize")
		}
	}
}

// TestMethodThatCannotBeUsedIsRefused, whatever the browser sends.
func TestMethodThatCannotBeUsedIsRefused(t *testing.T) {
	h := newHouse(t)
	strict := ers()
	strict.ACR, strict.Methods = care.AAL3Any, []care.Method{care.Smartcard}
	for method, c := range map[string]struct {
		req   care.Requirement
		words string
	}{
		"":                  {ers(), "Select how you want to sign in"},
		"smartcard":         {ers(), "Select how you want to sign in"},
		"nonsense":          {ers(), "Select how you want to sign in"},
		"authenticator_app": {strict, "None of these login methods is available here yet"},
	} {
		v := h.asked(c.req)
		v.Post("/signin", pagetest.Fields("req", v.Field("req"), "method", method))
		v.check().sees(http.StatusUnprocessableEntity, c.words).isAt("/signin")
	}
}

const appCookie = "__Host-method-AAL2_OR_AAL3_ANY"

// TestRememberedChoice: domain 1.11. Two years, one for each acr class, past
// the page and never past the proof (N19).
func TestRememberedChoice(t *testing.T) {
	h := newHouse(t)
	v := h.asked(ers()).choose("remember", "yes")
	if got := v.cookie(appCookie); got != "authenticator_app" {
		t.Fatalf("the cookie holds %q", got)
	}
	v.get("/signin?req="+h.sealed(ers())).isAt("/signin/email").sees(http.StatusOK, "What is your Care Identity email address?")
	other := ers()
	other.ACR = care.AAL2Any
	v.get("/signin?req="+h.sealed(other)).isAt("/signin").sees(http.StatusOK, "Select your login method")
	narrow := ers()
	narrow.Methods = []care.Method{care.Smartcard}
	v.get("/signin?req=" + h.sealed(narrow)).isAt("/signin")

	// Another way is one link away, and a mistake there does not lead past the
	// page again.
	v.get("/signin?req="+h.sealed(ers())).follow("Use another way to sign in").isAt("/signin").sees(http.StatusOK, "Select your login method")
	v.submit("/signin").sees(http.StatusUnprocessableEntity, "Select how you want to sign in").isAt("/signin")
	v.choose() // without the box: forgotten
	if got := v.cookie(appCookie); got != "" {
		t.Errorf("the choice is still %q", got)
	}
	v.get("/signin?req=" + h.sealed(ers())).isAt("/signin")
}

func TestRememberCookieHoldsAMethodAndNoMore(t *testing.T) {
	h := newHouse(t)
	v := h.asked(ers())
	v.Stay()
	v.submit("/signin", "method", "authenticator_app", "remember", "yes")
	set, err := http.ParseSetCookie(v.Header.Get("Set-Cookie"))
	if err != nil {
		t.Fatal(err)
	}
	if set.Name != appCookie || set.Value != "authenticator_app" || set.MaxAge != 2*365*24*60*60 ||
		!set.Secure || !set.HttpOnly || set.Path != "/" || set.Domain != "" || set.SameSite != http.SameSiteLaxMode {
		t.Errorf("%+v", set)
	}
}

func TestRememberedNonsenseShowsThePage(t *testing.T) {
	h := newHouse(t)
	for _, value := range []string{"smartcard", "nonsense", "authenticator_app2", "%00"} {
		v := h.visitor()
		v.SetCookie(&http.Cookie{Name: appCookie, Value: value, Path: "/", Secure: true})
		v.get("/signin?req="+h.sealed(ers())).isAt("/signin").sees(http.StatusOK, "Select your login method")
	}
}

// TestRequirementThatCannotBeReadHasAWayOn: expired, it leads back to the
// service, which asks again.
func TestRequirementThatCannotBeReadHasAWayOn(t *testing.T) {
	h := newHouse(t)
	sealed := h.sealed(ers())
	for _, text := range []string{"", "nonsense", sealed[:len(sealed)-3], sealed + "A"} {
		v := h.visitor().get("/signin?req="+text).sees(http.StatusBadRequest, "Reference")
		v.follow("Go to Care Identity Management").isAt("/cim/")
	}
	open := h.asked(ers())
	h.Clock.Later(30*time.Minute + time.Second)
	open.submit("/signin", "method", "authenticator_app").sees(http.StatusGone, "Reference").follow("Start signing in again")
	if open.At != ers().ReturnTo {
		t.Errorf("it leads to %s", open.At)
	}
	for _, path := range []string{"/signin?req=", "/signin/cancel?req=", "/signin/role?req="} {
		h.visitor().get(path+sealed).sees(http.StatusGone, "Reference")
	}
}

// TestSessionThatIsGoodEnoughGoesStraightBack, and one that is not is asked.
func TestSessionThatIsGoodEnoughGoesStraightBack(t *testing.T) {
	h := newHouse(t)
	v := h.asked(ers()).toCode(amara).code(amara).isAt("/authorize")
	v.get("/signin?req=" + h.sealed(ers())).isAt("/authorize")
	for name, change := range map[string]func(r *care.Requirement){
		"a higher level":     func(r *care.Requirement) { r.ACR = care.AAL3Any },
		"another method":     func(r *care.Requirement) { r.Methods = []care.Method{care.Smartcard} },
		"a sign-in just now": func(r *care.Requirement) { r.AuthenticatedAfter = h.Clock.Now().Add(time.Second) },
	} {
		req := ers()
		change(&req)
		if v.get("/signin?req=" + h.sealed(req)); !strings.HasPrefix(v.At, "/signin?") {
			t.Errorf("%s: went on to %s", name, v.At)
		}
	}
	h.Clock.Later(time.Hour)
	v.get("/signin?req=" + h.sealed(ers())).isAt("/signin")
}

// TestCancellingTellsTheService: the address carries a refusal that counts for
// it alone. Who came from none of them lands on the start page.
func TestCancellingTellsTheService(t *testing.T) {
	h := newHouse(t)
	for _, from := range []string{"method", "email", "code"} {
		v := h.asked(ers())
		switch from {
		case "email":
			v.choose()
		case "code":
			v.toCode(amara)
		}
		v.follow("Cancel and go back to e-Referral Service").isAt("/authorize")
		at := v.address()
		if why, ok := h.Requirements.OpenRefusal(at.Path, at.Query()); !ok || why != "cancelled" {
			t.Errorf("from %s: %s says %q, %t", from, v.At, why, ok)
		}
		if at.Query().Get("client_id") != "ers" || at.Query().Get("state") != "x" {
			t.Errorf("from %s: the service's own parameters are gone: %s", from, v.At)
		}
	}
	own := care.Requirement{ACR: care.AAL2OrAAL3Any, Methods: care.Methods(), ReturnTo: "/cim/"}
	h.asked(own).follow("Cancel").isAt("/")
}

// TestServiceMayReceiveTheLastForm: decision 14. The page's policy lets forms
// lead to the service that is waiting, and nowhere else.
func TestServiceMayReceiveTheLastForm(t *testing.T) {
	h := newHouse(t)
	for _, v := range []*visitor{h.asked(ers()), h.asked(ers()).choose(), h.asked(ers()).toCode(amara)} {
		policy := v.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "form-action 'self' https://ers.example.nhs.uk;") {
			t.Errorf("%s: %s", v.At, policy)
		}
	}
}
