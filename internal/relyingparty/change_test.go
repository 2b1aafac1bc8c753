package relyingparty_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/relyingparty"
)

var audited = []fs.FS{audit.Schema, relyingparty.Schema}

func entries(t *testing.T, d *db.DB) []string {
	t.Helper()
	var all []string
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		all = nil
		rows, err := tx.Rows(`SELECT action, actor, fields FROM audit_entry ORDER BY action`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var action, actor, fields string
			if err := rows.Scan(&action, &actor, &fields); err != nil {
				return err
			}
			all = append(all, fmt.Sprintf("%s by %s: %s", action, actor, fields))
		}
		return rows.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestARelyingPartyIsAddedOnce(t *testing.T) {
	dbtest.Each(t, audited, func(t *testing.T, d *db.DB) {
		add := func(rp relyingparty.RelyingParty) error {
			return d.Write(t.Context(), func(tx *db.Tx) error { return relyingparty.Add(tx, "operator", rp) })
		}
		if err := add(ers()); err != nil {
			t.Fatal(err)
		}
		other := ers()
		other.Name = "Other"
		if err := add(other); !errors.Is(err, relyingparty.ErrTaken) {
			t.Errorf("again: %v", err)
		}
		var got relyingparty.RelyingParty
		err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
			got, err = relyingparty.ByID(tx, ers().ClientID)
			return err
		})
		if diff := cmp.Diff(ers(), got); err != nil || diff != "" {
			t.Errorf("stored (-want +got): %v\n%s", err, diff)
		}
		if all := entries(t, d); len(all) != 1 || !strings.Contains(all[0], "NHS e-Referral Service") {
			t.Errorf("audited: %v", all)
		}
	})
}

func TestAChangeIsAuditedFieldByFieldWithoutSecrets(t *testing.T) {
	dbtest.Each(t, audited, func(t *testing.T, d *db.DB) {
		put(t, d, ers())
		change := func(fn func(rp *relyingparty.RelyingParty)) []relyingparty.Difference {
			t.Helper()
			var found []relyingparty.Difference
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				before, err := relyingparty.Locked(tx, ers().ClientID)
				if err != nil {
					return err
				}
				after := before
				fn(&after)
				found, err = relyingparty.Replace(tx, "operator", before, after)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		if found := change(func(*relyingparty.RelyingParty) {}); found != nil || entries(t, d) != nil {
			t.Errorf("no change: %v, audited %v", found, entries(t, d))
		}
		secret, hash := relyingparty.NewSecret(rand.Reader)
		found := change(func(rp *relyingparty.RelyingParty) {
			rp.Description, rp.Quirks.SingleAsObject = "New", true
			rp.RedirectURIs = append(rp.RedirectURIs[:1:1], "https://ers.example/")
			rp.AddSecret(hash)
		})
		want := []relyingparty.Difference{
			{Field: "redirect_uris", From: "http://localhost:9090/callback, http://127.0.0.1:9090/callback", To: "http://localhost:9090/callback, https://ers.example/"},
			{Field: "description", To: "New"}, {Field: "quirks", From: `{"numeric_levels":true}`, To: `{"numeric_levels":true,"single_as_object":true}`}, {Field: "secret", Hidden: true},
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("found (-want +got):\n%s", diff)
		}
		all := entries(t, d)
		if len(all) != 1 || !strings.HasPrefix(all[0], "relying_party.changed by operator") || strings.Contains(all[0], secret) || !strings.Contains(all[0], "(hidden)") {
			t.Errorf("audited: %v", all)
		}
		if got := want[1].String() + "; " + want[3].String(); got != "description: (nothing) → New; secret: changes" {
			t.Errorf("shown as %q", got)
		}
	})
}

func TestARemovalIsAudited(t *testing.T) {
	dbtest.Each(t, audited, func(t *testing.T, d *db.DB) {
		put(t, d, ers())
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			rp, err := relyingparty.Locked(tx, ers().ClientID)
			if err != nil {
				return err
			}
			return relyingparty.Remove(tx, "operator", rp)
		})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := relyingparty.Locked(tx, ers().ClientID)
			return err
		})
		if all := entries(t, d); !errors.Is(err, db.ErrNoRows) || len(all) != 1 || !strings.HasPrefix(all[0], "relying_party.removed by operator") {
			t.Errorf("%v; audited: %v", err, all)
		}
	})
}

func TestClientIDsLookLikeThoseOfCIS2(t *testing.T) {
	form := regexp.MustCompile(`^[1-9][0-9]{11}\.apps\.national$`)
	for range 100 {
		if id := relyingparty.NewClientID(rand.Reader); !form.MatchString(id) {
			t.Fatalf("%q", id)
		}
	}
}
