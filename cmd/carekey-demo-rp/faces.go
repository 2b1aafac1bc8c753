package main

import "fmt"

// face is one demo relying party, as the demo world registers it.
type face struct {
	Port         int
	Name, Short  string
	ClientID     string
	Secret       string // a demo secret: everybody knows it
	ACR          string
	Scopes       []string
	Introduction string
}

var everything = []string{
	"openid", "profile", "email", "nhsperson", "nationalrbacaccess", "associatedorgs",
	"professionalmemberships", "organisationalmemberships", "selectedrole",
}

// faces returns the four, from the first port on.
func faces(port int) []face {
	return []face{
		{
			Port: port, Name: "NHS e-Referral Service", Short: "e-RS", ClientID: "555000000001.apps.national",
			Secret: "ers-demo-secret-please-change", ACR: "AAL2_OR_AAL3_ANY", Scopes: everything,
			Introduction: "Refer patients and book their appointments.",
		},
		{
			Port: port + 1, Name: "National Care Records Service", Short: "NCRS", ClientID: "555000000002.apps.national",
			Secret: "ncrs-demo-secret-please-change", ACR: "AAL2_OR_AAL3_ANY", Scopes: everything,
			Introduction: "See a summary of a patient’s care.",
		},
		{
			Port: port + 2, Name: "Message Exchange for Social Care and Health", Short: "MESH", ClientID: "555000000003.apps.national",
			Secret: "mesh-demo-secret-please-change", ACR: "AAL2_OR_AAL3_ANY", Scopes: []string{"openid", "profile", "nationalrbacaccess"},
			Introduction: "Send messages and files between organisations.",
		},
		{
			Port: port + 3, Name: "Controlled Drugs Register (example)", Short: "CDR", ClientID: "555000000004.apps.national",
			Secret: "cdr-demo-secret-please-change", ACR: "AAL3_ANY", Scopes: []string{"openid", "profile", "nationalrbacaccess", "selectedrole"},
			Introduction: "An example that asks for AAL3: the four strongest methods only.",
		},
	}
}

// Address is where a browser finds the face.
func (f face) Address() string { return fmt.Sprintf("http://localhost:%d/", f.Port) }
