package account

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/session"
)

// timeLeft tells the script of a page how long its reader is still signed in.
// Asking is no activity: a page that nobody looks at must not keep a sign-in
// alive (N4).
func (a *Account) timeLeft(w http.ResponseWriter, r *http.Request) error {
	s, err := a.Sessions.Glance(r.Context(), r)
	if err != nil {
		return err
	}
	return a.tellTimeLeft(w, s)
}

// postTimeLeft is the one key that puts the end off (WCAG 2.2, 2.2.1).
func (a *Account) postTimeLeft(w http.ResponseWriter, r *http.Request) error {
	s, err := a.Sessions.Extend(r.Context(), r)
	if err != nil {
		return err
	}
	return a.tellTimeLeft(w, s)
}

func (a *Account) tellTimeLeft(w http.ResponseWriter, s *session.Session) error {
	var left page.Left
	if s != nil && s.Serves("") {
		t := new(page.Person).Warned(a.DB.Now(), s.IdleUntil, s.Until).TimeOut
		left = a.Kit.Left(t.Left, t.At, t.Final)
	}
	answer, err := json.Marshal(left)
	if err != nil {
		return fmt.Errorf("telling how long is left: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(answer); err != nil {
		return nil // the reader has gone
	}
	return nil
}

// timedOut is the page afterwards. What was on the screen is gone from it.
func (a *Account) timedOut(w http.ResponseWriter, r *http.Request) error {
	back := cameFrom(r)
	s, err := a.Sessions.Glance(r.Context(), r)
	if err != nil {
		return err
	}
	if s != nil && s.Serves("") {
		page.SeeOther(w, r, back)
		return nil
	}
	return a.door(w, r, http.StatusOK, "timed-out", page.View{Title: "You have been signed out", Data: back})
}

// again signs the person in anew and comes back, which begins both limits
// again (N4).
func (a *Account) again(w http.ResponseWriter, r *http.Request) error {
	back := cameFrom(r)
	v, err := a.visit(r)
	if err != nil {
		return err
	}
	after := time.Time{}
	if v.session != nil {
		after = a.DB.Now()
	}
	return a.signInTo(w, r, after, back)
}

// cameFrom is the page to come back to: one of Care Identity Management or of
// registration, and nothing else (ASVS 3.7.2: no open redirector).
func cameFrom(r *http.Request) string {
	back := r.URL.Query().Get("back")
	for _, room := range []string{"/cim/", "/register"} {
		if strings.HasPrefix(back, room) && !strings.ContainsAny(back, "\\\r\n\t") && !strings.HasPrefix(back, "/cim/again") && !strings.HasPrefix(back, "/cim/timed-out") {
			return back
		}
	}
	return home
}
