package account

import (
	"net/http"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/page"
)

// pathShared is the page of shared computers (decision 8).
const pathShared = "/shared-computer"

// sharedData is what the page says.
type sharedData struct {
	// Link is the one that was opened, or ""; Shared is what it is for.
	Link   string
	Shared bool
	// Marked and InNetwork are what this computer is now.
	Marked, InNetwork bool
}

// sharedComputer is where IT comes with a link, in the browser of the computer
// that it is about. Opening changes nothing. Without a link it says how things
// stand, so that IT can look.
func (a *Account) sharedComputer(w http.ResponseWriter, r *http.Request) error {
	data := sharedData{
		Link: r.URL.Query().Get("t"), Marked: a.Computers.Marked(r), InNetwork: a.Computers.InNetwork(a.Network(r)),
	}
	title := "Do people share this computer?"
	if data.Link != "" {
		var err error
		if data.Shared, err = a.Computers.Open(data.Link); err != nil {
			return err
		}
		title = "Mark this computer as shared"
		if !data.Shared {
			title = "Take the mark of a shared computer away"
		}
	}
	return a.door(w, r, http.StatusOK, "shared-computer", page.View{Title: title, Data: data})
}

func (a *Account) postSharedComputer(w http.ResponseWriter, r *http.Request) error {
	shared, err := a.Computers.Mark(w, r.PostForm.Get("t"))
	if err != nil {
		return err
	}
	action := "computer.shared"
	if !shared {
		action = "computer.private"
	}
	err = a.DB.Write(r.Context(), func(tx *db.Tx) error {
		return audit.Record(tx, audit.Entry{Action: action, Actor: "operator"})
	})
	if err != nil {
		return err
	}
	page.SeeOther(w, r, pathShared)
	return nil
}
