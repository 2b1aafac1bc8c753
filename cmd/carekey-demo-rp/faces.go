package main

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// face is one demo relying party, as the demo world registers it.
type face struct {
	Port         int
	Name, Short  string
	Introduction string
	ClientID     string
	Secret       string // a demo secret: everybody knows it; "" for one that signs assertions
	// ACR is the class that it asks for, Scopes what it wants to know.
	ACR    string
	Scopes []string
	// Address is where a browser finds it.
	Address string
}

var everything = []string{
	"openid", "profile", "email", "nhsperson", "nationalrbacaccess", "associatedorgs",
	"professionalmemberships", "organisationalmemberships", "selectedrole",
}

// faces returns the four, from the first port on.
func faces(host string, port int) []face {
	all := []face{
		{
			Name: "NHS e-Referral Service", Short: "e-RS", Introduction: "Refer patients and book their appointments.",
			ClientID: "555000000001.apps.national", Secret: "ers-demo-secret-please-change",
			ACR: "AAL2_OR_AAL3_ANY", Scopes: everything,
		},
		{
			Name: "National Care Records Service", Short: "NCRS", Introduction: "See a summary of a patient’s care.",
			ClientID: "555000000002.apps.national",
			ACR:      "AAL2_OR_AAL3_ANY", Scopes: []string{"openid", "profile", "nationalrbacaccess", "associatedorgs", "selectedrole"},
		},
		{
			Name: "Message Exchange for Social Care and Health", Short: "MESH", Introduction: "Send messages and files between organisations.",
			ClientID: "555000000003.apps.national", Secret: "mesh-demo-secret-please-change",
			ACR: "AAL2_OR_AAL3_ANY", Scopes: []string{"openid", "profile"},
		},
		{
			Name: "Controlled Drugs Register (example)", Short: "CDR", Introduction: "An example of a service that accepts AAL3 only, so four methods.",
			ClientID: "555000000004.apps.national", Secret: "cdr-demo-secret-please-change",
			ACR: "AAL3_ANY", Scopes: []string{"openid", "profile", "nationalrbacaccess", "associatedorgs", "selectedrole"},
		},
	}
	for i := range all {
		all[i].Port = port + i
		all[i].Address = "http://" + net.JoinHostPort(host, strconv.Itoa(port+i)) + "/"
	}
	return all
}

// Classes are the values of acr_values to choose from.
func (f face) Classes() []string {
	return []string{"AAL2_OR_AAL3_ANY", "AAL3_ANY", "AAL2_ANY", "AAL2_TOTP", "AAL2_NHSMAIL", "AAL3_FIDO2", "AAL3_SMARTCARD", "AAL3_IOS"}
}

// WantsRole reports whether it asks for one of the person's roles.
func (f face) WantsRole() bool { return slices.Contains(f.Scopes, "selectedrole") }

// at returns the redirect address for a host that a browser used, and false if
// Carekey would not know it: another name for this machine would also have
// other cookies.
func (f face) at(host string) (string, bool) {
	port := ":" + strconv.Itoa(f.Port)
	if known := strings.TrimSuffix(strings.TrimPrefix(f.Address, "http://"), "/"); host == known || host == "127.0.0.1"+port {
		return "http://" + host + "/callback", true
	}
	return "", false
}
