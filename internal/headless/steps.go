package headless

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/session"
)

// next seals the journey at its next stage and asks for what it needs there.
func (h *Headless) next(t trip, stage, header string, ask ...callback) (any, error) {
	t.Step = stage
	sealed, err := journey.Seal(h.journeys, anywhere, t)
	if err != nil {
		return nil, err
	}
	return question{AuthID: sealed, Stage: stage, Header: header, Callbacks: numbered(ask)}, nil
}

// password takes address and password. Whether anybody has the address cannot
// be told from the answer (ASVS 6.3.8): the app's room sees to it, as it does
// for the pages.
func (h *Headless) password(r *http.Request, t trip, sent filled) (any, error) {
	address, err := care.ParseEmail(sent.text(1))
	if err != nil {
		return nil, fault.New(fault.HeadlessUnreadable, errors.New("the first input is no email address")).
			With("The value of IDToken1 is no email address, like name@example.nhs.uk.")
	}
	if sent.text(2) == "" {
		return nil, fault.New(fault.HeadlessUnreadable, errors.New("the second input is empty")).With("The value of IDToken2 is the password.")
	}
	ticket, err := h.App.PasswordStep(r.Context(), address, sent.text(2), h.who(r, address))
	if err != nil {
		return nil, err
	}
	t.State.Email, t.State.Ticket = address, ticket
	return h.next(t, stageCode, "Check your authenticator app", nameCallback("6-digit code", ""))
}

// code takes the code and passes the gate.
func (h *Headless) code(w http.ResponseWriter, r *http.Request, t trip, sent filled) (any, error) {
	proof, err := h.App.CodeStep(r.Context(), t.State.Ticket, sent.text(1), h.who(r, t.State.Email))
	if err != nil {
		return nil, err
	}
	admitted, err := h.Gate.SignIn(r.Context(), gate.Admission{
		Proofs: []credential.Proof{proof}, Requirement: t.State.Requirement, Terms: h.Terms(), Previous: session.Token(r),
		Browser: session.BrowserName(r.UserAgent()), Shared: h.Computers.Shared(r, h.Network(r)),
	})
	if err != nil {
		return nil, err
	}
	session.SetCookie(w, admitted.Token)
	if err := h.Devices.Remember(w, r, t.State.Email); err != nil {
		return nil, err
	}
	if err := h.Computers.Renew(w, r); err != nil {
		return nil, err
	}
	t.State.Ticket, t.State.Session = "", admitted.Token
	if t.State.Requirement.Role == care.NoRole {
		return h.done(t), nil
	}
	_, roles, err := h.roles(r, t)
	if err != nil {
		return nil, err
	}
	if len(roles) < 2 { // none is no obstacle, one is not asked for (domain, 1.13)
		return h.done(t), nil
	}
	return h.next(t, stageRole, "Select your role", choiceCallback("Select your role", labels(roles)))
}

// role takes the chosen role and remembers it in the session.
func (h *Headless) role(r *http.Request, t trip, sent filled) (any, error) {
	current, roles, err := h.roles(r, t)
	if err != nil {
		return nil, err
	}
	chosen, ok := choose(roles, sent.text(1))
	if !ok {
		return nil, fault.New(fault.HeadlessUnreadable, errors.New("the choice is not on the list")).
			With("The value of IDToken1 is the number of a choice, the first is 0, or a role id.")
	}
	err = h.DB.Write(r.Context(), func(tx *db.Tx) error { return session.ChooseRole(tx, current.ID, chosen) })
	if err != nil {
		return nil, err
	}
	return h.done(t), nil
}

// roles returns the session of the journey, which must not have ended since,
// and the roles of its person.
func (h *Headless) roles(r *http.Request, t trip) (current *session.Session, roles []access.Role, err error) {
	err = h.DB.Read(r.Context(), func(tx *db.Tx) error {
		var err error
		if current, err = session.Live(tx, keys.Hash(t.State.Session)); err != nil || current == nil {
			return err
		}
		roles, err = access.Roles(tx, current.UID)
		return err
	})
	if err == nil && current == nil {
		err = fault.New(fault.JourneyExpired, errors.New("the session has ended"))
	}
	return current, roles, err
}

// labels are the choices as a script reads them: the role id first, which never
// changes, then the words of the page.
func labels(roles []access.Role) []string {
	all := make([]string, len(roles))
	for i, role := range roles {
		all[i] = role.ID + " " + role.Label() + ", " + role.OrgName + " (" + string(role.Org) + ")"
	}
	return all
}

// choose returns the role of a choice: its place on the list, as AM counts, or
// its id.
func choose(roles []access.Role, text string) (id string, ok bool) {
	if slices.ContainsFunc(roles, func(role access.Role) bool { return role.ID == text }) {
		return text, true
	}
	i, err := strconv.Atoi(text)
	if err != nil || i < 0 || i >= len(roles) {
		return "", false
	}
	return roles[i].ID, true
}

// done is the end of the journey.
func (h *Headless) done(t trip) any {
	to := t.State.Requirement.ReturnTo
	if strings.HasPrefix(to, "/") {
		to = strings.TrimSuffix(h.BaseURL, "/") + to
	}
	return success{TokenID: t.State.Session, SuccessURL: to, Realm: realm}
}
