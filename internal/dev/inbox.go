package dev

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/page"
)

// keepMails is how many mails the inbox keeps.
const keepMails = 500

// Letter is a mail in the inbox.
type Letter struct {
	ID      string     `json:"id"`
	To      care.Email `json:"to"`
	From    care.Email `json:"from"`
	Subject string     `json:"subject"`
	Text    string     `json:"text"`
	At      time.Time  `json:"at"`
}

var address = regexp.MustCompile(`https?://\S+`)

// Part is a piece of a letter's text: an address to click, or words.
type Part struct{ Link, Words string }

// Parts splits the text so that addresses can be clicked.
func (l Letter) Parts() []Part {
	var parts []Part
	from := 0
	for _, at := range address.FindAllStringIndex(l.Text, -1) {
		parts = append(parts, Part{Words: l.Text[from:at[0]]}, Part{Link: l.Text[at[0]:at[1]]})
		from = at[1]
	}
	return append(parts, Part{Words: l.Text[from:]})
}

// Deliver puts a mail into the inbox. It is the outbox's way out in dev mode.
func Deliver(d *db.DB) func(context.Context, outbox.Mail) error {
	return func(ctx context.Context, m outbox.Mail) error {
		err := d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO dev_mail (id, at, sender, recipient, subject, text) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (id) DO NOTHING`, m.ID, db.Micros(tx.Now()), m.From, m.To, m.Subject, m.Text)
			if err != nil {
				return err
			}
			_, err = tx.Exec(`DELETE FROM dev_mail WHERE at <= (SELECT at FROM dev_mail ORDER BY at DESC LIMIT 1 OFFSET $1)`, keepMails)
			return err
		})
		if err != nil {
			return fmt.Errorf("putting a mail into the inbox: %w", err)
		}
		return nil
	}
}

func (d *Dev) letters(ctx context.Context) ([]Letter, error) {
	letters := []Letter{}
	err := d.DB.Read(ctx, func(tx *db.Tx) error {
		letters = letters[:0]
		rows, err := tx.Rows(`SELECT id, at, sender, recipient, subject, text FROM dev_mail ORDER BY at DESC, id LIMIT 50`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var l Letter
			var at int64
			if err := rows.Scan(&l.ID, &at, &l.From, &l.To, &l.Subject, &l.Text); err != nil {
				return err
			}
			l.At = db.Time(at)
			letters = append(letters, l)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("reading the inbox: %w", err)
	}
	return letters, nil
}

func (d *Dev) inbox(w http.ResponseWriter, r *http.Request) {
	letters, err := d.letters(r.Context())
	if err != nil {
		d.Kit.Fault(w, r, err)
		return
	}
	d.pages.Render(w, r, http.StatusOK, "inbox", page.View{
		Title: "The demo inbox", Refresh: lookAgain, Data: letters, Back: "/",
	})
}

func (d *Dev) inboxJSON(w http.ResponseWriter, r *http.Request) {
	letters, err := d.letters(r.Context())
	d.answer(w, r, letters, err)
}
