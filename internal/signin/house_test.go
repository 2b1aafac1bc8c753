package signin

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

var amara, helen = gatetest.Amara, gatetest.Helen

// house is the room with real rooms below it. Where people come from and go
// back to is a page that says so.
type house struct {
	*SignIn
	*gatetest.Rig
	t       *testing.T
	handler http.Handler
	// network is where browsers are.
	network netip.Addr
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{
		Rig: gatetest.Open(t, access.Schema, organisation.Schema, relyingparty.Schema), t: t,
		network: netip.MustParseAddr("198.51.100.4"),
	}
	kit := pagetest.Kit(t)
	h.SignIn = New(Options{
		DB: h.Rig.DB, Kit: kit, Ring: h.Rig.Ring, App: h.Rig.App, FIDO: h.Rig.FIDO, Gate: h.Rig.Gate, Sessions: h.Rig.Sessions,
		Devices:      session.NewDevices(h.Rig.Ring, rand.Reader),
		Computers:    session.NewComputers(h.Rig.Ring, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, h.Rig.DB.Now),
		Passkeys:     access.NewCohort([]string{access.Everyone}, []string{access.Everyone}),
		Requirements: journey.NewRequirements(h.Rig.Ring, h.Rig.DB.Now), Directory: relyingparty.NewDirectory(h.Rig.DB),
		BaseURL: gatetest.Base, Network: func(*http.Request) netip.Addr { return h.network },
		Terms: func() string { return "2026-10" }, Random: rand.Reader,
	})
	mux := http.NewServeMux()
	h.Routes(mux)
	for _, path := range []string{"/authorize", "/cim/", "/{$}", "/register/recover", "/help/lost-phone"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "arrived") })
	}
	kit.Routes(mux)
	h.handler = kit.Wrap(mux)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// ers is what e-RS asks for.
func ers() care.Requirement {
	return care.Requirement{
		ClientID: "ers", Service: "e-Referral Service", ACR: care.AAL2OrAAL3Any, Methods: care.Methods(),
		ReturnTo: "/authorize?client_id=ers&state=x", FormTarget: "https://ers.example.nhs.uk",
	}
}

func (h *house) sealed(req care.Requirement) string {
	h.t.Helper()
	sealed, err := h.Requirements.SealRequirement(req)
	h.must(err)
	return sealed
}

// visitor is a browser; each page that it sees is checked.
type visitor struct {
	*pagetest.Browser
	h *house
}

func (h *house) visitor() *visitor { return &visitor{pagetest.Client(h.t, h.handler), h} }

// asked is a visitor whom a service has sent.
func (h *house) asked(req care.Requirement) *visitor {
	h.t.Helper()
	return h.visitor().get("/signin?req=" + h.sealed(req))
}

func (v *visitor) get(path string) *visitor { v.h.t.Helper(); v.Get(path); return v.check() }

func (v *visitor) submit(action string, pairs ...string) *visitor {
	v.h.t.Helper()
	v.Submit(action, pagetest.Fields(pairs...))
	return v.check()
}

func (v *visitor) check() *visitor { v.h.t.Helper(); v.Check(); return v }

func (v *visitor) sees(status int, words ...string) *visitor {
	v.h.t.Helper()
	v.Sees(status, words...)
	return v
}

func (v *visitor) isAt(path string) *visitor { v.h.t.Helper(); v.IsAt(path); return v }

// follow opens the link with this text.
func (v *visitor) follow(text string) *visitor {
	v.h.t.Helper()
	href := ""
	v.nodes("a", func(n *html.Node) {
		if content(n) == text {
			href = attr(n, "href")
		}
	})
	if href == "" {
		v.h.t.Fatalf("%s has no link %q:\n%s", v.At, text, v.Text())
	}
	return v.get(href)
}

// choose chooses the app, and comes to the page of the address.
func (v *visitor) choose(pairs ...string) *visitor {
	v.h.t.Helper()
	return v.submit("/signin", append(pairs, "method", string(care.AuthenticatorApp))...).isAt("/signin/email")
}

// toPassword and toCode come to these pages.
func (v *visitor) toPassword(who gatetest.Who) *visitor {
	v.h.t.Helper()
	return v.choose().submit("/signin/email", "email", string(who.Email)).isAt("/signin/password")
}

func (v *visitor) toCode(who gatetest.Who) *visitor {
	v.h.t.Helper()
	return v.toPassword(who).submit("/signin/password", "password", gatetest.Password).isAt("/signin/code")
}

// code types what the phone shows next.
func (v *visitor) code(who gatetest.Who) *visitor {
	v.h.t.Helper()
	v.h.Clock.Later(gatetest.Step)
	return v.submit("/signin/code", "code", v.h.Code(who.Secret))
}

// session is the one of this browser, or nil.
func (v *visitor) session() *session.Session {
	v.h.t.Helper()
	return v.h.Alive(v.cookie(session.Cookie))
}

// cookie is the value that the browser would send.
func (v *visitor) cookie(name string) string {
	v.h.t.Helper()
	for _, c := range v.Cookies() {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// choice is a radio button.
type choice struct {
	Value    string
	Disabled bool
}

func (v *visitor) choices(name string) (all []choice) {
	v.h.t.Helper()
	v.nodes("input", func(n *html.Node) {
		if attr(n, "type") == "radio" && attr(n, "name") == name {
			_, disabled := attribute(n, "disabled")
			all = append(all, choice{attr(n, "value"), disabled})
		}
	})
	return all
}

// address is where the browser is.
func (v *visitor) address() *url.URL {
	v.h.t.Helper()
	at, err := url.Parse(v.At)
	v.h.must(err)
	return at
}

func (v *visitor) nodes(tag string, visit func(n *html.Node)) {
	v.h.t.Helper()
	root, err := html.Parse(strings.NewReader(v.Page))
	v.h.must(err)
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == tag {
			visit(n)
		}
	}
}

func attr(n *html.Node, name string) string { value, _ := attribute(n, name); return value }

func attribute(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func content(n *html.Node) string {
	var text strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			text.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

// roles gives a person n roles: at every second organisation the same name.
func (h *house) roles(uid care.UID, n int) {
	h.t.Helper()
	h.Write(func(tx *db.Tx) error {
		for i := range n {
			code := care.ODSCode(fmt.Sprintf("RX%d", i))
			name := fmt.Sprintf("Northgate Hospital %d", i)
			if err := organisation.Put(tx, organisation.Organisation{Code: code, Name: name, Type: "trust"}); err != nil {
				return err
			}
			err := access.Put(tx, access.Role{
				ID: fmt.Sprintf("55500020%04d", i), OrgPersonID: fmt.Sprintf("55500030%04d", i), UID: uid, Org: code,
				Code: care.RoleCode(fmt.Sprintf("S8000:G8000:R800%d", i)), Position: i,
				Name: `"Clinical":"Clinical Provision":"` + []string{"Nurse Access Role", "Clerical Access Role"}[i%2] + `"`,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
