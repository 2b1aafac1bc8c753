package account

import (
	"net/http"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/notice"
	"carekey.dev/carekey/internal/page"
)

// notYet is what a tile says whose room is still to be built.
const notYet = "Not available here yet. Ask your Registration Authority."

// tiles are the six of seed 0, word for word.
func tiles() []page.Tile {
	return []page.Tile{
		{Title: "View your profile", Href: "/cim/profile", Text: "View your profile and update contact details"},
		{Title: "Renew your own smartcard", Text: "Renew your smartcard up to 90 days before it expires", Reason: notYet},
		{Title: "Change smartcard passcode", Text: "Set a new passcode if you think yours is no longer secure.", Reason: notYet},
		{Title: "Find organisation", Text: "Find organisations and organisational details", Reason: notYet},
		{Title: "Add other authenticators", Href: "/cim/authenticators/add", Text: "Use smartcard alternatives with CIS2 Authentication"},
		{Title: "Help and troubleshooting", Href: "/help", Text: "Guidance on how to use this service and fix issues"},
	}
}

// home is the first page of seed 0, with what the operator announces.
func (a *Account) home(w http.ResponseWriter, r *http.Request, v visit) error {
	var showing []notice.Notice
	err := a.DB.Read(r.Context(), func(tx *db.Tx) error {
		var err error
		showing, err = notice.Showing(tx, tx.Now())
		return err
	})
	if err != nil {
		return err
	}
	view := page.View{Title: "Home", Heading: service, Data: tiles(), Wide: true}
	for _, n := range showing {
		view.Notices = append(view.Notices, page.Notice{ID: n.Dismissal(), Text: n.Text})
	}
	return a.ok(w, r, "home", v, view)
}
