package page_test

import (
	"bytes"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest"
)

//go:embed testdata/templates
var testdata embed.FS

// house is a small server with the test pages, and what the kit told it.
type house struct {
	*pagetest.Browser
	kit    *page.Kit
	pages  *page.Pages
	mux    *http.ServeMux
	log    bytes.Buffer
	faults []*fault.Error
	posts  int
	sent   url.Values
	view   page.View
}

func build(t *testing.T, change ...func(*page.Options)) *house {
	t.Helper()
	h := &house{}
	change = append(change, func(o *page.Options) {
		o.Log = slog.New(slog.NewTextHandler(&h.log, nil))
		o.Record = func(_ *http.Request, f *fault.Error) { h.faults = append(h.faults, f) }
	})
	h.kit = pagetest.Kit(t, change...)
	templates, err := fs.Sub(testdata, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	h.pages = h.kit.Pages(templates)
	mux := http.NewServeMux()
	h.mux = mux
	h.kit.Routes(mux)
	for _, name := range []string{"everything", "question", "method", "done", "broken"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			h.pages.Render(w, r, http.StatusOK, name, h.view)
		})
	}
	mux.HandleFunc("POST /question", h.post)
	mux.HandleFunc("POST /token", h.post)
	h.kit.Exempt("/token")
	h.Browser = pagetest.Client(t, h.kit.Wrap(mux))
	return h
}

func (h *house) post(w http.ResponseWriter, r *http.Request) {
	form, err := page.Form(w, r)
	if err != nil {
		h.kit.Fault(w, r, err)
		return
	}
	h.posts++
	h.sent = form
	page.SeeOther(w, r, "/done")
}

// question is the view of a page that asks one thing.
func question() page.View {
	return page.View{Title: "What is your Care Identity email address?", Back: "/method"}
}

// everything is the view of a page with every component.
func everything() page.View {
	return page.View{
		Title: "Everything", Back: "/back", Wide: true, Journey: "sealed-journey",
		Person:  &page.Person{Name: "Dr Amara OSEI", AAL: "AAL2", SignOut: "/signout", NotYou: "/notyou"},
		Notices: []page.Notice{{ID: "upgrade-22-march", Text: "Care Identity Management will be unavailable from 9:00am to 7:00pm."}},
		Data: map[string]any{
			"Now": time.Date(2026, 7, 22, 8, 0, 0, 0, time.UTC),
			"Methods": []page.Choice{
				{Value: "smartcard", Label: "Smartcard", Reason: "Not available here yet"},
				{Value: "authenticator_app", Label: "Authenticator app", Hint: "Email address, password and a code", Tag: "Registered"},
				{Value: "nhsmail", Label: "NHSmail"},
			},
			"Rows": []page.Row{
				{Key: "Name", Value: "Dr Amara OSEI"},
				{Key: "Email address", Value: []string{"amara@example.nhs.uk", "waiting: amara@example.org"}, Actions: []page.Action{
					{Text: "Change", Hidden: "email address", Href: "/change"}, {Text: "Remove", Hidden: "email address", Href: "/remove"}}},
			},
			"Tasks": []page.Task{
				{Title: "Check your email address", Href: "/1", Status: "Completed"},
				{Title: "Register Microsoft Authenticator", Hint: "About 5 minutes", Href: "/2", Status: "Incomplete", Colour: "blue"},
				{Title: "Save recovery codes", Status: "Cannot start yet"},
			},
			"Cells": [][]any{{"Microsoft Authenticator", "22 March 2026", "Today"}, {"Security key", "1 January 2026", "Never"}},
			"Tiles": []page.Tile{
				{Title: "View your profile", Href: "/cim/profile", Text: "View your profile and update contact details"},
				{Title: "Renew your own smartcard", Text: "Renew your smartcard up to 90 days before it expires", Reason: "This comes in a later version."},
			},
		},
	}
}
