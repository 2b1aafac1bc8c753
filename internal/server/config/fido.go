package config

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/metadata"
)

// FIDO says where security keys, Windows Hello and passkeys work, and which.
type FIDO struct {
	// RPID is the domain that keys are bound to, Origins all origins where they
	// are used, that of BaseURL first.
	RPID    string
	Origins []string
	// Policies are by method.
	Policies map[care.Method]fido.Policy
	// ModelsAllowed and ModelsRefused are AAGUIDs. Models that are allowed are
	// what the policy "listed" accepts.
	ModelsAllowed, ModelsRefused []string
	// RootsFile holds certificates that attest keys of which the FIDO Alliance
	// publishes nothing, "" for none.
	RootsFile string
}

// Related reports whether an origin lies outside the domain, so that browsers
// have to be told of it.
func (f FIDO) Related() bool {
	return slices.ContainsFunc(f.Origins, func(origin string) bool { return !fido.Within(f.RPID, origin) })
}

func (l *loader) fido(c *Config, f file) FIDO {
	base, err := url.Parse(c.BaseURL)
	if err != nil {
		return FIDO{} // base_url is told of already
	}
	all := FIDO{RPID: f.FIDO.RPID, Origins: []string{c.BaseURL}, Policies: map[care.Method]fido.Policy{}}
	if all.RPID == "" {
		all.RPID = strings.ToLower(base.Hostname())
	} else if !domain(all.RPID) {
		l.wrong("fido.rp_id", "is a domain such as northmoor.example, in small letters and without https:// or a port, not %q", all.RPID)
	}
	for _, origin := range f.FIDO.Origins {
		u, err := url.Parse(origin)
		switch {
		case err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin:
			l.wrong("fido.origins", "an origin looks like https://id.northmoor.example, not %q", origin)
		case u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost"):
			l.wrong("fido.origins", "%s: keys work by https:// alone, or on localhost", origin)
		case !slices.Contains(all.Origins, origin):
			all.Origins = append(all.Origins, origin)
		}
	}
	if all.Related() && len(l.mistakes) == 0 {
		if _, err := fido.Related(all.Origins); err != nil {
			l.wrong("fido.origins", "no browser would take these: %v", err)
		}
	}
	for _, set := range []struct {
		method care.Method
		value  string
	}{
		{care.SecurityKey, f.FIDO.Policy.SecurityKey}, {care.WindowsHello, f.FIDO.Policy.WindowsHello}, {care.Passkey, f.FIDO.Policy.Passkey},
	} {
		policy := fido.Policy(set.value)
		switch policy {
		case "":
			policy = fido.Any
		case fido.Any, fido.Attested, fido.Listed:
		default:
			l.wrong("fido.policy."+string(set.method), "is any, attested or listed, not %q", set.value)
		}
		all.Policies[set.method] = policy
	}
	all.ModelsAllowed = l.models("fido.models_allowed", f.FIDO.ModelsAllowed)
	all.ModelsRefused = l.models("fido.models_refused", f.FIDO.ModelsRefused)
	all.RootsFile = f.FIDO.RootsFile
	return all
}

// models reads AAGUIDs.
func (l *loader) models(name string, values []string) []string {
	var all []string
	for _, value := range values {
		id, err := metadata.ParseAAGUID(value)
		if err != nil {
			l.wrong(name, "%s", err)
			continue
		}
		all = append(all, id)
	}
	return all
}

// domain reports whether text can be the domain of keys: a name, and no address.
func domain(text string) bool {
	u, err := url.Parse("https://" + text)
	return err == nil && u.Host == text && u.Port() == "" && text == strings.ToLower(text) && net.ParseIP(text) == nil &&
		(text == "localhost" || strings.Contains(strings.Trim(text, "."), "."))
}
