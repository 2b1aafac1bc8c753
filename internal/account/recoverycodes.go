package account

import (
	"net/http"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
)

// newCodes are recovery codes on their way to the one page that shows them.
type newCodes struct {
	UID   care.UID  `json:"u"`
	Codes []string  `json:"c"`
	Made  time.Time `json:"m"`
}

// codesData is that page: whoever finds the paper should know whose it is.
type codesData struct {
	newCodes
	Name string
}

// recoveryCodes offers new ones, which end the old ones, after a fresh sign-in.
func (a *Account) recoveryCodes(w http.ResponseWriter, r *http.Request, v visit) error {
	sealed, err := a.beginSecret(r, v, stepCodes)
	if err != nil {
		return err
	}
	var left int
	err = a.DB.Read(r.Context(), func(tx *db.Tx) error {
		var err error
		left, err = recovery.Left(tx, v.person.UID)
		return err
	})
	if err != nil {
		return err
	}
	return a.ok(w, r, "recovery-codes", v, page.View{
		Title: "Make new recovery codes", Back: "/cim/authenticators", Journey: sealed, Data: left,
	})
}

func (a *Account) postRecoveryCodes(w http.ResponseWriter, r *http.Request, v visit) error {
	secret, err := a.secretTrip(r, v, stepCodes)
	if err != nil {
		return err
	}
	codes, change, err := a.Recovery.Make(r.Context(), v.person.UID, secret.State.Authenticator)
	if err != nil {
		return err
	}
	if err := a.Gate.Change(r.Context(), gate.Changing{Change: change, Session: v.session}); err != nil {
		return err
	}
	trip := journey.Begin(a.codes, stepDone, newCodes{UID: v.person.UID, Codes: codes, Made: a.DB.Now()})
	return next(w, r, a.codes, trip, stepDone, "/cim/recovery-codes/new")
}

// newRecoveryCodes shows them, to the same signed-in person in the same
// browser, for as long as a reload may need (shownLife) and never again.
func (a *Account) newRecoveryCodes(w http.ResponseWriter, r *http.Request, v visit) error {
	trip, err := open[newCodes](r, a.codes, stepDone)
	if err != nil {
		return err
	}
	if err := v.owns(trip.State.UID); err != nil {
		return err
	}
	return a.ok(w, r, "recovery-codes-new", v, page.View{
		Title: "Your new recovery codes", Data: codesData{trip.State, v.person.DisplayName()},
	})
}
