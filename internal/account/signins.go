package account

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/session"
)

// pathSignIns is the list of a person's sign-ins.
const pathSignIns = "/cim/sign-ins"

// endedByHolder is why a session ended, for the audit log and for relying
// parties.
const endedByHolder = "ended by its holder from another browser"

// signInsData is what the list shows.
type signInsData struct {
	SignIns []signInCard
	// Others is how many there are besides this browser's.
	Others int
	// Ended says what was just done, or is "".
	Ended string
}

// signInCard is one sign-in as its holder sees it.
type signInCard struct {
	SID string
	// Browser heads it. Here: it is this browser's.
	Browser string
	Here    bool
	Idle    bool
	// Since tells two of the same browser from one another.
	Since string
	Rows  []page.Row
}

// signIns lists where the person is signed in (ASVS 7.5.2).
func (a *Account) signIns(w http.ResponseWriter, r *http.Request, v visit) error {
	data, err := a.signInsOf(r.Context(), v)
	if err != nil {
		return err
	}
	if trip, err := open[farewell](r, a.farewells, stepEnded); err == nil && token(r) != "" {
		data.Ended = trip.State.Name
	}
	return a.ok(w, r, "sign-ins", v, page.View{Title: "Where you are signed in", Back: home, Data: data})
}

func (a *Account) signInsOf(ctx context.Context, v visit) (signInsData, error) {
	all, err := a.held(ctx, v.person.UID)
	if err != nil {
		return signInsData{}, err
	}
	data := signInsData{Others: len(all)}
	for _, s := range all {
		card := a.card(ctx, s)
		if s.SID == v.session.SID {
			card.Here = true
			data.Others--
			data.SignIns = slices.Insert(data.SignIns, 0, card)
			continue
		}
		data.SignIns = append(data.SignIns, card)
	}
	return data, nil
}

// signedIn is a session with the relying parties that got something from it.
type signedIn struct {
	*session.Session
	services []string
}

func (a *Account) held(ctx context.Context, uid care.UID) (all []signedIn, err error) {
	err = a.DB.Read(ctx, func(tx *db.Tx) error {
		all = nil
		sessions, err := session.Of(tx, uid)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			services, err := a.Services(tx, s.SID)
			if err != nil {
				return err
			}
			all = append(all, signedIn{s, services})
		}
		return nil
	})
	return all, err
}

// card makes a session readable.
func (a *Account) card(ctx context.Context, s signedIn) signInCard {
	card := signInCard{SID: s.SID, Browser: browserName(s.Session), Idle: s.Idle(a.DB.Now()), Since: a.Kit.DateTime(s.AuthTime)}
	used := "In the last few minutes"
	if a.DB.Now().Sub(s.LastSeen) >= lately {
		used = a.Kit.DateTime(s.LastSeen)
	}
	card.Rows = []page.Row{
		{Key: "Signed in", Value: card.Since},
		{Key: "With", Value: s.Method.TypeLabel()},
		{Key: "Services", Value: a.serviceNames(ctx, s)},
		{Key: "Last used", Value: used},
	}
	if s.Shared {
		card.Rows = append(card.Rows, page.Row{Key: "Computer", Value: "Shared with others"})
	}
	return card
}

func browserName(s *session.Session) string {
	if s.Browser == "" {
		return "A browser that we cannot name"
	}
	return s.Browser
}

// serviceNames are what the person signed in for, and what they went on to by
// single sign-on.
func (a *Account) serviceNames(ctx context.Context, s signedIn) []string {
	names := []string{a.serviceName(ctx, s.Client)}
	for _, clientID := range s.services {
		if name := a.serviceName(ctx, clientID); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// serviceName names a relying party. One that is registered no more has no name
// left.
func (a *Account) serviceName(ctx context.Context, clientID string) string {
	if clientID == "" {
		return service
	}
	rp, err := a.Directory.ByID(ctx, clientID)
	if err != nil {
		return "A service that is no longer registered"
	}
	return rp.Name
}

// endSignIn asks before one sign-in is ended. Whoever ends others' sessions has
// signed in again first (ASVS 7.5.2).
func (a *Account) endSignIn(w http.ResponseWriter, r *http.Request, v visit) error {
	if err := a.fresh(v); err != nil {
		return err
	}
	all, err := a.held(r.Context(), v.person.UID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(s signedIn) bool { return v.elsewhere(s.Session, r.URL.Query().Get("id")) })
	if i < 0 {
		return fault.New(fault.SignInGone, nil)
	}
	return a.ok(w, r, "sign-in-end", v, page.View{Title: "End this sign-in", Back: pathSignIns, Data: a.card(r.Context(), all[i])})
}

// elsewhere reports whether a session has this name and is not this browser's.
func (v visit) elsewhere(s *session.Session, sid string) bool {
	return s.SID == sid && s.SID != v.session.SID
}

func (a *Account) postEndSignIn(w http.ResponseWriter, r *http.Request, v visit) error {
	if err := a.fresh(v); err != nil {
		return err
	}
	var ended *session.Session
	err := a.DB.Write(r.Context(), func(tx *db.Tx) error {
		all, err := session.Of(tx, v.person.UID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(s *session.Session) bool { return v.elsewhere(s, r.PostForm.Get("id")) })
		if i < 0 {
			return fault.New(fault.SignInGone, nil)
		}
		ended = all[i]
		return endByHolder(tx, v, ended)
	})
	if err != nil {
		return err
	}
	return a.hasEnded(w, r, "The sign-in with "+browserName(ended)+" has ended")
}

// endOthers asks before all other sign-ins are ended.
func (a *Account) endOthers(w http.ResponseWriter, r *http.Request, v visit) error {
	if err := a.fresh(v); err != nil {
		return err
	}
	data, err := a.signInsOf(r.Context(), v)
	if err != nil {
		return err
	}
	if data.Others == 0 {
		page.SeeOther(w, r, pathSignIns)
		return nil
	}
	return a.ok(w, r, "sign-ins-end", v, page.View{Title: "End all other sign-ins", Back: pathSignIns, Data: data})
}

func (a *Account) postEndOthers(w http.ResponseWriter, r *http.Request, v visit) error {
	if err := a.fresh(v); err != nil {
		return err
	}
	var ended int
	err := a.DB.Write(r.Context(), func(tx *db.Tx) error {
		ended = 0
		all, err := session.Of(tx, v.person.UID)
		if err != nil {
			return err
		}
		for _, s := range all {
			if s.SID == v.session.SID {
				continue
			}
			if err := endByHolder(tx, v, s); err != nil {
				return err
			}
			ended++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if ended == 1 {
		return a.hasEnded(w, r, "The other sign-in has ended")
	}
	return a.hasEnded(w, r, fmt.Sprintf("%d other sign-ins have ended", ended))
}

// endByHolder ends one session, and writes down from which other one.
func endByHolder(tx *db.Tx, v visit, s *session.Session) error {
	if err := session.End(tx, s.ID, endedByHolder); err != nil {
		return err
	}
	return audit.Record(tx, audit.Entry{
		Action: "session.ended", Subject: v.person.UID, Actor: string(v.person.UID), Session: v.session.SID,
		Fields: []audit.Field{{Name: "why", Value: endedByHolder}, {Name: "ended", Value: s.SID}},
	})
}

// hasEnded goes back to the list, which says once what was done.
func (a *Account) hasEnded(w http.ResponseWriter, r *http.Request, what string) error {
	trip := journey.Begin(a.farewells, stepEnded, farewell{Name: what})
	return next(w, r, a.farewells, trip, stepEnded, pathSignIns)
}
