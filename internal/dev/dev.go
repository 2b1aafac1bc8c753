// Package dev helps newcomers in dev mode: a front page that says what to try,
// a demo phone that shows every demo person's code, and an inbox that shows
// every mail. It is wired in dev mode alone: it shows codes to everybody.
package dev

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations.
var Schema fs.FS = schema

//go:embed templates/*.html
var templates embed.FS

// lookAgain is how soon the phone and the inbox look for news, at the latest.
const lookAgain = 5 * time.Second

// Options is what the room needs.
type Options struct {
	DB  *db.DB
	Kit *page.Kit
	App *app.App
	// Demo is the address of the demo relying parties: "http://localhost:9090/".
	Demo string
	// Folder is the flag with which commands find the data folder of this
	// server, "" if they look there anyway.
	Folder string
}

// Dev is the room.
type Dev struct {
	Options
	pages *page.Pages
}

// New returns the room.
func New(o Options) *Dev { return &Dev{Options: o, pages: o.Kit.Pages(templates)} }

// Routes adds the room's pages.
func (d *Dev) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", d.front)
	mux.HandleFunc("GET /dev/phone", d.phone)
	mux.HandleFunc("GET /dev/phone.json", d.phoneJSON)
	mux.HandleFunc("GET /dev/inbox", d.inbox)
	mux.HandleFunc("GET /dev/inbox.json", d.inboxJSON)
}

// people are those of the demo world whom the front page names, with demo
// passwords.
var people = [][]any{
	{"Ms Zoë O'Neill-Müller", "zoe.oneill@nhs.net", "amber cliff 29 wren", "3, a list"},
	{"Dr Ravi Iyer", "ravi.iyer@nhs.net", "violet anchor 63 pine", "7, a list with a search box"},
	{"Grace Adeyemi", "grace.adeyemi@outlook.com", "silver kettle 05 moth", "none: goes on without"},
}

func (d *Dev) front(w http.ResponseWriter, r *http.Request) {
	d.pages.Render(w, r, http.StatusOK, "front", page.View{
		Title: "Try Carekey",
		Data: struct {
			Demo, Folder string
			People       [][]any
		}{d.Demo, d.Folder, people},
	})
}

// shown is what one phone shows.
type shown struct {
	UID     care.UID `json:"uid"`
	Name    string   `json:"name"`
	Email   string   `json:"email"`
	Code    string   `json:"code"`
	Seconds int      `json:"seconds_left"`
	// Used: this code was accepted; the next one has to be awaited.
	Used bool `json:"used"`
}

// Spaced is the code as an app shows it: "711 725" (seed 1).
func (s shown) Spaced() string { return s.Code[:3] + " " + s.Code[3:] }

// ring is the circumference of the picture of the seconds left.
const ring = 100.53 // 2 pi times its radius of 16

// Arc is how much of the ring is left.
func (s shown) Arc() string { return fmt.Sprintf("%.2f %.2f", ring*float64(s.Seconds)/30, ring) }

func (d *Dev) phones(ctx context.Context) ([]shown, error) {
	codes, err := d.App.DemoCodes(ctx)
	if err != nil {
		return nil, err
	}
	phones := []shown{}
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		phones = phones[:0]
		for _, c := range codes {
			p, err := person.ByUID(tx, c.UID)
			if err != nil {
				return err
			}
			phones = append(phones, shown{
				UID: c.UID, Name: p.DisplayName(), Email: string(p.Email), Code: c.Code,
				Seconds: int((c.Left + time.Second - 1) / time.Second), Used: c.Used,
			})
		}
		return nil
	})
	return phones, err
}

func (d *Dev) phone(w http.ResponseWriter, r *http.Request) {
	phones, err := d.phones(r.Context())
	if err != nil {
		d.Kit.Fault(w, r, err)
		return
	}
	next := lookAgain
	for _, p := range phones {
		next = min(next, time.Duration(p.Seconds)*time.Second)
	}
	d.pages.Render(w, r, http.StatusOK, "phone", page.View{
		Title: "The demo phone", Wide: true, Refresh: max(next, time.Second), Data: phones, Back: "/",
	})
}

func (d *Dev) phoneJSON(w http.ResponseWriter, r *http.Request) {
	phones, err := d.phones(r.Context())
	d.answer(w, r, phones, err)
}

func (d *Dev) answer(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		d.Kit.Fault(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v) // the client is gone: nobody is left to tell
}
