package world

import (
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/yamldoc"
)

// file is the world file as it is written. A pointer or a nil list is a field
// or a section that is absent.
type file struct {
	EmailAllowList []string            `yaml:"email_allow_list"`
	Organisations  []organisationEntry `yaml:"organisations"`
	People         []personEntry       `yaml:"people"`
	RelyingParties []relyingPartyEntry `yaml:"relying_parties"`
	Notices        []noticeEntry       `yaml:"notices"`
}

type organisationEntry struct {
	Code     string   `yaml:"code"`
	Name     string   `yaml:"name"`
	Type     string   `yaml:"type"`
	Parent   string   `yaml:"parent"`
	Address  []string `yaml:"address"`
	Postcode string   `yaml:"postcode"`
	Phone    string   `yaml:"phone"`
	RA       string   `yaml:"ra"`
}

type personEntry struct {
	UID              string               `yaml:"uid"`
	Title            string               `yaml:"title"`
	GivenName        string               `yaml:"given_name"`
	MiddleNames      string               `yaml:"middle_names"`
	FamilyName       string               `yaml:"family_name"`
	IDAssuranceLevel int                  `yaml:"id_assurance_level"`
	Email            *emailEntry          `yaml:"email"`
	Memberships      map[string]string    `yaml:"memberships"`
	Roles            []roleEntry          `yaml:"roles"`
	Authenticators   *authenticatorsEntry `yaml:"authenticators"`
	Closed           *closedEntry         `yaml:"closed"`
}

type emailEntry struct {
	Address  string `yaml:"address"`
	Verified bool   `yaml:"verified"`
}

type roleEntry struct {
	ID          string            `yaml:"id"`
	OrgPersonID string            `yaml:"org_person_id"`
	Org         string            `yaml:"org"`
	Role        string            `yaml:"role"`
	Name        string            `yaml:"name"`
	Activities  map[string]string `yaml:"activities"`
	Workgroups  map[string]string `yaml:"workgroups"`
	Areas       map[string]string `yaml:"areas"`
}

type authenticatorsEntry struct {
	App *appEntry `yaml:"authenticator_app"`
}

type appEntry struct {
	Password   string `yaml:"password"`
	TOTPSecret string `yaml:"totp_secret"`
}

type closedEntry struct {
	Reason string `yaml:"reason"`
	Date   string `yaml:"date"`
}

type relyingPartyEntry struct {
	ClientID               string         `yaml:"client_id"`
	Name                   string         `yaml:"name"`
	ShortName              string         `yaml:"short_name"`
	Profile                string         `yaml:"profile"`
	Secret                 string         `yaml:"secret"`
	AuthMethod             string         `yaml:"token_endpoint_auth_method"`
	JWKSURI                string         `yaml:"jwks_uri"`
	JWKS                   map[string]any `yaml:"jwks"`
	SigningAlgorithm       string         `yaml:"jwks_uri_signing_algorithm"`
	RedirectURIs           []string       `yaml:"redirect_uris"`
	PostLogoutRedirectURIs []string       `yaml:"post_logout_redirect_uris"`
	BackchannelLogoutURI   string         `yaml:"backchannel_logout_uri"`
	Scopes                 []string       `yaml:"scopes"`
	Methods                []string       `yaml:"methods"`
	DefaultACR             string         `yaml:"default_acr"`

	relyingparty.Metadata `yaml:",inline"`
}

type noticeEntry struct {
	ID       string       `yaml:"id"`
	Show     windowEntry  `yaml:"show"`
	Outage   *windowEntry `yaml:"outage"`
	Services []string     `yaml:"services"`
	Text     string       `yaml:"text"`
}

type windowEntry struct {
	From  string `yaml:"from"`
	Until string `yaml:"until"`
}

// Parse reads a world file called name. Every error names the file and the
// line; all mistakes of meaning are reported together.
func Parse(name string, text []byte, mode Mode) (*World, error) {
	doc, err := yamldoc.Parse(name, text)
	if err != nil {
		return nil, err
	}
	var f file
	if err := doc.Decode(&f); err != nil {
		return nil, err
	}
	c := checker{mistakes: mistakes{doc: doc}, mode: mode}
	w := c.world(f)
	if err := c.err(); err != nil {
		return nil, err
	}
	return w, nil
}
