package team_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/relyingparty/team"
)

var schemas = []fs.FS{audit.Schema, team.Schema}

// house is a database whose clock moves by a second with each look.
type house struct {
	*db.DB
	t *testing.T
}

func each(t *testing.T, test func(h house)) {
	var past atomic.Int64
	start := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return start.Add(time.Duration(past.Add(int64(time.Second)))) }
	dbtest.EachAt(t, clock, schemas, func(t *testing.T, d *db.DB) { test(house{d, t}) })
}

func (h house) write(fn func(tx *db.Tx) error) error { return h.Write(h.t.Context(), fn) }

func (h house) must(fn func(tx *db.Tx) error) {
	h.t.Helper()
	if err := h.write(fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h house) secret() team.Fresh {
	h.t.Helper()
	fresh := team.NewSecret(rand.Reader)
	h.must(func(tx *db.Tx) error { return team.AddSecret(tx, "operator", mavis, fresh) })
	return fresh
}

// good reports which of the secrets sign in.
func (h house) good(secrets ...team.Fresh) string {
	h.t.Helper()
	var which []string
	for _, s := range secrets {
		var found team.Secret
		err := h.write(func(tx *db.Tx) (err error) {
			found, err = team.SignIn(tx, s.Value)
			return err
		})
		switch {
		case err == nil && found.Team == mavis.ID && found.ID == s.ID && !found.UsedAt.IsZero():
			which = append(which, "good")
		case errors.Is(err, db.ErrNoRows):
			which = append(which, "bad")
		default:
			h.t.Errorf("%v %v", found, err)
		}
	}
	return strings.Join(which, " ")
}

var mavis = team.Team{ID: "mavis", Name: "Manage vaccinations"}

func TestATeamIsAddedOnceAndReadBack(t *testing.T) {
	each(t, func(h house) {
		add := func(id, name string) error {
			return h.write(func(tx *db.Tx) error { return team.Add(tx, "operator", id, name) })
		}
		if err := add(mavis.ID, mavis.Name); err != nil {
			h.t.Fatal(err)
		}
		for id, want := range map[string]error{"mavis": team.ErrTaken, "": team.ErrID, "A": team.ErrID, "a/b": team.ErrID, "..": team.ErrID, strings.Repeat("a", 65): team.ErrID} {
			if err := add(id, "Name"); !errors.Is(err, want) {
				h.t.Errorf("%q: %v, want %v", id, err, want)
			}
		}
		for _, name := range []string{"", " ", "a\nb", strings.Repeat("n", 256)} {
			if err := add("b", name); !errors.Is(err, team.ErrName) {
				h.t.Errorf("name %q: %v", name, err)
			}
		}
		var all []team.Team
		err := h.Read(h.t.Context(), func(tx *db.Tx) (err error) {
			all, err = team.All(tx)
			return err
		})
		if err != nil || len(all) != 1 || all[0].Name != mavis.Name || all[0].CreatedAt.IsZero() {
			h.t.Errorf("teams %v, %v", all, err)
		}
	})
}

func TestTheTwoNewestSecretsAreGood(t *testing.T) {
	each(t, func(h house) {
		h.must(func(tx *db.Tx) error { return team.Add(tx, "operator", mavis.ID, mavis.Name) })
		first, second, third := h.secret(), h.secret(), h.secret()
		if got := h.good(first, second, third, team.Fresh{}); got != "bad good good bad" {
			h.t.Errorf("after three: %s", got)
		}
		drop := func(all bool) error {
			return h.write(func(tx *db.Tx) error { return team.DropSecrets(tx, "operator", mavis, all) })
		}
		if err := drop(false); err != nil {
			h.t.Fatal(err)
		}
		if got := h.good(first, second, third); got != "bad bad good" {
			h.t.Errorf("after dropping the old: %s", got)
		}
		if err := drop(false); !errors.Is(err, team.ErrNoSecrets) {
			h.t.Errorf("again: %v", err)
		}
		if err := drop(true); err != nil {
			h.t.Fatal(err)
		}
		if got := h.good(first, second, third); got != "bad bad bad" {
			h.t.Errorf("after dropping all: %s", got)
		}
	})
}

func TestATeamThatLooksAfterSomethingStays(t *testing.T) {
	each(t, func(h house) {
		h.must(func(tx *db.Tx) error { return team.Add(tx, "operator", mavis.ID, mavis.Name) })
		s := h.secret()
		remove := func(inUse int) error {
			return h.write(func(tx *db.Tx) error { return team.Remove(tx, "operator", mavis, inUse) })
		}
		if err := remove(1); !errors.Is(err, team.ErrInUse) {
			h.t.Errorf("in use: %v", err)
		}
		if err := remove(0); err != nil {
			h.t.Fatal(err)
		}
		if got := h.good(s); got != "bad" {
			h.t.Errorf("the secret is %s after the removal", got)
		}
		err := h.Read(h.t.Context(), func(tx *db.Tx) error {
			_, err := team.ByID(tx, mavis.ID)
			return err
		})
		if !errors.Is(err, db.ErrNoRows) {
			h.t.Errorf("the team: %v", err)
		}
	})
}

func TestWhatHappensToATeamIsAudited(t *testing.T) {
	each(t, func(h house) {
		h.must(func(tx *db.Tx) error { return team.Add(tx, "operator", mavis.ID, mavis.Name) })
		s := h.secret()
		h.good(s, team.Fresh{ID: "x", Value: "wrong"})
		h.must(func(tx *db.Tx) error { return team.DropSecrets(tx, "operator", mavis, true) })
		h.must(func(tx *db.Tx) error { return team.Remove(tx, "operator", mavis, 0) })
		var got []string
		err := h.Read(h.t.Context(), func(tx *db.Tx) error {
			got = nil
			rows, err := tx.Rows(`SELECT action, actor, fields FROM audit_entry ORDER BY at`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var action, actor, fields string
				if err := rows.Scan(&action, &actor, &fields); err != nil {
					return err
				}
				got = append(got, fmt.Sprintf("%s by %s", action, actor))
				if strings.Contains(fields, s.Value) || !strings.Contains(fields, mavis.ID) {
					h.t.Errorf("%s has the fields %s", action, fields)
				}
			}
			return rows.Close()
		})
		want := []string{
			"team.added by operator", "team_secret.added by operator", "team.signed_in by team mavis",
			"team_secret.dropped by operator", "team.removed by operator",
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			h.t.Errorf("audited (-want +got): %v\n%s", err, diff)
		}
	})
}
