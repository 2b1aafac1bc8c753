package e2e

import (
	"encoding/json"
	"net/http"
)

// demoPerson is somebody of the demo world.
type demoPerson struct{ name, uid, email, password, secret string }

// Demo passwords and secrets, as in the demo world.
var (
	amara  = demoPerson{"Dr Amara OSEI", "555000100101", "amara.osei@nhs.net", "harbour lamp 42 otter", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}
	priya  = demoPerson{"Ms Priya RAMAN", "555000100102", "priya.raman@gmail.com", "", ""}
	ravi   = demoPerson{"Dr Ravi IYER", "555000100105", "ravi.iyer@nhs.net", "violet anchor 63 pine", "NBSWY3DPO5XXE3DENBSWY3DPO5XXE3DE"}
	grace  = demoPerson{"Grace ADEYEMI", "555000100106", "grace.adeyemi@outlook.com", "silver kettle 05 moth", "OBQXG43XN5ZGIMJSOBQXG43XN5ZGIMJS"}
	owen   = demoPerson{"Owen HUGHES", "555000100108", "owen.hughes@northmoor.nhs.uk", "", ""}
	zoe    = demoPerson{"Ms Zoë O'NEILL-MÜLLER", "555000100109", "zoe.oneill@nhs.net", "amber cliff 29 wren", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}
	chosen = "a quiet heron by the weir"
)

// phone reads the demo phone's code for an address.
func (h *house) phone(email string) string {
	h.t.Helper()
	res, err := http.Get(h.url + "/dev/phone.json")
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	var codes []struct {
		Email string `json:"email"`
		Code  string `json:"code"`
	}
	if err := json.NewDecoder(res.Body).Decode(&codes); err != nil {
		h.t.Fatal(err)
	}
	for _, c := range codes {
		if c.Email == email {
			return c.Code
		}
	}
	h.t.Fatalf("the demo phone has no code for %s: %v", email, codes)
	return ""
}

// password goes from the login-method page to the page after the password.
func (h *house) password(b *browser, p demoPerson) {
	h.t.Helper()
	b.wantHeading("Select your login method")
	b.choose("method", "authenticator_app")
	b.press("Continue")
	b.wantHeading("What is your Care Identity email address?")
	b.fill("email", p.email)
	b.press("Continue")
	b.wantHeading("Enter your password")
	b.fill("password", p.password)
	b.press("Continue")
}

// signIn goes from the login-method page to wherever the sign-in leads.
func (h *house) signIn(b *browser, p demoPerson) {
	h.t.Helper()
	h.password(b, p)
	b.wantHeading("Check your authenticator app")
	b.fill("code", h.phones.code(h.t, p.secret))
	b.press("Submit")
}

// signedIn is a browser in which the person is signed in to Care Identity
// Management.
func (h *house) signedIn(p demoPerson, js setting) *browser {
	h.t.Helper()
	b := newBrowser(h.t, js)
	b.open(h.url + "/cim/")
	h.signIn(b, p)
	b.wantHeading("Care Identity Management")
	return b
}
