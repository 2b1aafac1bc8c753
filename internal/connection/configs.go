package connection

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/relyingparty/team"
)

// maxConfigs is how many relying parties a team may have: enough for every
// environment of every product, and a bound for a program that runs away.
const maxConfigs = 100

// config is one relying party as a team reads it.
type config struct {
	Name     string       `json:"config_name"`
	ClientID string       `json:"client_id"`
	Config   clientConfig `json:"client_config"`
	Hash     string       `json:"hash"`
	// Secret is a new client secret, shown this once.
	Secret string `json:"client_secret,omitempty"`
}

func shown(rp relyingparty.RelyingParty) config {
	c := configOf(rp)
	return config{Name: nameOf(rp), ClientID: rp.ClientID, Config: c, Hash: c.hash()}
}

// nameOf is by what name a team knows its relying party.
func nameOf(rp relyingparty.RelyingParty) string {
	if rp.ConfigName != "" {
		return rp.ConfigName
	}
	return rp.ClientID
}

// of returns the relying parties of a team.
func of(tx *db.Tx, id string) ([]relyingparty.RelyingParty, error) {
	all, err := relyingparty.All(tx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(rp relyingparty.RelyingParty) bool { return rp.Team != id }), nil
}

// find returns the team's relying party with the name or the client id.
func find(tx *db.Tx, id, name string) (relyingparty.RelyingParty, error) {
	all, err := of(tx, id)
	if err != nil {
		return relyingparty.RelyingParty{}, err
	}
	i := slices.IndexFunc(all, func(rp relyingparty.RelyingParty) bool { return nameOf(rp) == name })
	if i < 0 {
		i = slices.IndexFunc(all, func(rp relyingparty.RelyingParty) bool { return rp.ClientID == name })
	}
	if i < 0 {
		return relyingparty.RelyingParty{}, fault.New(fault.ConfigUnknown, nil)
	}
	return all[i], nil
}

// list answers with the name of each config of the team.
func (m *Manager) list(w http.ResponseWriter, r *http.Request, id string) error {
	names := []string{}
	err := m.DB.Read(r.Context(), func(tx *db.Tx) error {
		all, err := of(tx, id)
		names = names[:0]
		for _, rp := range all {
			names = append(names, nameOf(rp))
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	m.answer(w, http.StatusOK, map[string][]string{"configs": names})
	return nil
}

// read answers with one config and its hash.
func (m *Manager) read(w http.ResponseWriter, r *http.Request, id string) error {
	var rp relyingparty.RelyingParty
	err := m.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		rp, err = find(tx, id, r.PathValue("config"))
		return err
	})
	if err != nil {
		return err
	}
	m.answer(w, http.StatusOK, shown(rp))
	return nil
}

// create makes a relying party, which the team looks after from then on.
func (m *Manager) create(w http.ResponseWriter, r *http.Request, id string) error {
	c, err := sentConfig(r)
	if err != nil {
		return err
	}
	rp, err := c.onto(relyingparty.RelyingParty{
		ClientID: relyingparty.NewClientID(m.Random), Metadata: relyingparty.Metadata{Team: id},
	})
	if err != nil {
		return err
	}
	var secret string
	if rp.AuthMethod.HasSecret() {
		var hash []byte
		secret, hash = relyingparty.NewSecret(m.Random)
		rp.AddSecret(hash)
	}
	err = m.DB.Write(r.Context(), func(tx *db.Tx) error {
		// Nobody else gives the same name meanwhile.
		_, err := team.Locked(tx, id)
		if errors.Is(err, db.ErrNoRows) {
			return fault.New(fault.TeamRefused, err)
		}
		if err != nil {
			return err
		}
		all, err := of(tx, id)
		if err != nil {
			return err
		}
		if len(all) >= maxConfigs {
			return refused("The team has " + strconv.Itoa(maxConfigs) + " configs already: have the operator remove some.")
		}
		rp.ConfigName = freeName(rp, all)
		return relyingparty.Add(tx, actor(id), rp)
	})
	if err != nil {
		return err
	}
	answer := shown(rp)
	answer.Secret = secret
	w.Header().Set("Location", "/api/configs/"+url.PathEscape(id)+"/"+url.PathEscape(answer.Name))
	m.answer(w, http.StatusCreated, answer)
	return nil
}

// actor is how the audit log names a team.
func actor(id string) string { return "team " + id }

// freeName is by what name the team will know its new relying party: what it
// called it, fit for an address, and numbered if the name is taken.
func freeName(rp relyingparty.RelyingParty, all []relyingparty.RelyingParty) string {
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\?#%`, r) {
			return '-'
		}
		return r
	}, rp.Name)
	if plain == "." || plain == ".." || len(plain) > 200 {
		return rp.ClientID
	}
	name := plain
	for n := 2; slices.ContainsFunc(all, func(other relyingparty.RelyingParty) bool {
		return nameOf(other) == name || other.ClientID == name
	}); n++ {
		name = fmt.Sprintf("%s-%d", plain, n)
	}
	return name
}

// replace stores a whole config in place of the one whose hash came along, so
// that nobody overwrites what they have not seen.
func (m *Manager) replace(w http.ResponseWriter, r *http.Request, id string) error {
	hash := r.URL.Query().Get("hash")
	if hash == "" {
		return refused("The hash of the config that you change is missing: read the config first and add ?hash= with its hash.")
	}
	c, err := sentConfig(r)
	if err != nil {
		return err
	}
	newSecret, newHash := relyingparty.NewSecret(m.Random)
	var rp relyingparty.RelyingParty
	var secret string
	err = m.DB.Write(r.Context(), func(tx *db.Tx) error {
		secret = ""
		found, err := find(tx, id, r.PathValue("config"))
		if err != nil {
			return err
		}
		before, err := relyingparty.Locked(tx, found.ClientID)
		if errors.Is(err, db.ErrNoRows) || err == nil && before.Team != id {
			return fault.New(fault.ConfigUnknown, err)
		}
		if err != nil {
			return err
		}
		if !keys.Equal([]byte(hash), []byte(configOf(before).hash())) {
			return fault.New(fault.ConfigChanged, nil)
		}
		if rp, err = c.onto(before); err != nil {
			return err
		}
		if rp.AuthMethod.HasSecret() && len(rp.Secrets) == 0 {
			secret = newSecret
			rp.AddSecret(newHash)
		}
		_, err = relyingparty.Replace(tx, actor(id), before, rp)
		return err
	})
	if err != nil {
		return err
	}
	answer := shown(rp)
	answer.Secret = secret
	m.answer(w, http.StatusOK, answer)
	return nil
}

func sentConfig(r *http.Request) (clientConfig, error) {
	text, err := body(r)
	if err != nil {
		return clientConfig{}, err
	}
	return readConfig(text)
}
