package person_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/person"
)

var schemas = []fs.FS{person.Schema}

func amara() person.Person {
	return person.Person{
		UID: "555000100101", Title: "Dr", GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3,
		Email: "amara.osei@nhs.net", Memberships: map[string]string{"gmc_id": "7654321"},
	}
}

func owen() person.Person {
	return person.Person{UID: "555000100108", GivenName: "Owen", FamilyName: "HUGHES", Pending: "owen.hughes@northmoor.nhs.uk"}
}

func write(t *testing.T, d *db.DB, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func byUID(t *testing.T, d *db.DB, uid care.UID) person.Person {
	t.Helper()
	var p person.Person
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		p, err = person.ByUID(tx, uid)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNamesAreSaidAsPagesAndTheWireWantThem(t *testing.T) {
	p := amara()
	p.MiddleNames = "Élodie Kwame"
	if got, want := p.DisplayName(), "Dr Amara OSEI"; got != want {
		t.Errorf("DisplayName() = %q, want %q", got, want)
	}
	if got, want := p.Name(), "OSEI Amara Dr"; got != want {
		t.Errorf("Name() = %q, want %q", got, want)
	}
	if got, want := p.Initials(), "ÉK"; got != want {
		t.Errorf("Initials() = %q, want %q", got, want)
	}
	if got, want := owen().DisplayName(), "Owen HUGHES"; got != want {
		t.Errorf("DisplayName() without a title = %q, want %q", got, want)
	}
}

func TestAPersonIsReadAsStored(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { return person.Create(tx, amara()) })
		got := byUID(t, d, amara().UID)
		want := amara()
		want.EmailSince, want.Version = got.EmailSince, 1
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("stored person (-want +got):\n%s", diff)
		}
		if got.EmailSince.IsZero() {
			t.Error("a verified address does not say since when")
		}
	})
}

// What pages read beside a row that leads to the person is what they would say
// of the person: the verified address before the one that waits.
func TestWhatIsShownBesideARowIsTheSame(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		moving, bare := amara(), person.Person{UID: "555000100106", FamilyName: "ADEYEMI"}
		moving.Pending = "amara@northmoor.nhs.uk"
		for _, p := range []person.Person{moving, owen(), bare} {
			write(t, d, func(tx *db.Tx) error { return person.Create(tx, p) })
			var shown person.Shown
			err := d.Read(t.Context(), func(tx *db.Tx) error {
				columns, into := person.ShownOf("who.uid", &shown)
				return tx.Row(`SELECT `+columns+` FROM (SELECT CAST($1 AS TEXT) AS uid) who`, p.UID).Scan(into...)
			})
			if err != nil {
				t.Fatal(err)
			}
			if shown.DisplayName() != p.DisplayName() || shown.Login != p.Login() {
				t.Errorf("%q, %q, want %q, %q", shown.DisplayName(), shown.Login, p.DisplayName(), p.Login())
			}
		}
	})
}

func TestAnUnverifiedAddressFindsNobody(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { return person.Create(tx, owen()) })
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			_, err := person.ByEmail(tx, owen().Pending)
			return err
		})
		if !errors.Is(err, db.ErrNoRows) {
			t.Errorf("ByEmail of a pending address: %v, want db.ErrNoRows", err)
		}
	})
}

func TestVerifyMovesThePendingAddressAndReturnsTheOld(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		const next = care.Email("amara@doctors.nhs.uk")
		var old care.Email
		write(t, d, func(tx *db.Tx) error { return person.Create(tx, amara()) })
		write(t, d, func(tx *db.Tx) error { return person.SetPending(tx, amara().UID, next) })
		if p := byUID(t, d, amara().UID); p.Email != amara().Email || p.Pending != next {
			t.Fatalf("before: email %q, pending %q", p.Email, p.Pending)
		}
		for try := range 2 {
			write(t, d, func(tx *db.Tx) (err error) {
				old, err = person.Verify(tx, amara().UID, next)
				return err
			})
			if want := []care.Email{amara().Email, ""}[try]; old != want {
				t.Errorf("try %d: old address %q, want %q", try+1, old, want)
			}
		}
		p := byUID(t, d, amara().UID)
		if p.Email != next || p.Pending != "" || p.Version <= 1 {
			t.Errorf("after: email %q, pending %q, version %d", p.Email, p.Pending, p.Version)
		}
	})
}

func TestVerifyRefusesAnAddressThatIsNotWaiting(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { return person.Create(tx, amara()) })
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := person.Verify(tx, amara().UID, "someone@nhs.net")
			return err
		})
		if !errors.Is(err, person.ErrNotPending) {
			t.Errorf("Verify: %v, want ErrNotPending", err)
		}
		if p := byUID(t, d, amara().UID); p.Email != amara().Email {
			t.Errorf("the address is now %q", p.Email)
		}
	})
}

func TestOneSignInAddressForEachIdentity(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { return person.Create(tx, amara()) })
		write(t, d, func(tx *db.Tx) error { return person.Create(tx, owen()) })
		write(t, d, func(tx *db.Tx) error { return person.SetPending(tx, owen().UID, amara().Email) })
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := person.Verify(tx, owen().UID, amara().Email)
			return err
		})
		if !errors.Is(err, person.ErrAddressTaken) {
			t.Errorf("Verify: %v, want ErrAddressTaken", err)
		}
		if p := byUID(t, d, owen().UID); p.Email != "" || p.Pending != amara().Email {
			t.Errorf("after: email %q, pending %q", p.Email, p.Pending)
		}
	})
}

func TestEveryChangeGrowsTheVersion(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	uid := amara().UID
	write(t, d, func(tx *db.Tx) error { return person.Create(tx, amara()) })
	last := byUID(t, d, uid).Version
	for name, change := range map[string]func(tx *db.Tx) error{
		"update":  func(tx *db.Tx) error { return person.Update(tx, amara()) },
		"pending": func(tx *db.Tx) error { return person.SetPending(tx, uid, "a@nhs.net") },
		"close":   func(tx *db.Tx) error { return person.Close(tx, uid, person.Closure{Reason: "Left", At: time.Now()}) },
		"reopen":  func(tx *db.Tx) error { return person.Reopen(tx, uid) },
	} {
		write(t, d, change)
		p := byUID(t, d, uid)
		if p.Version <= last {
			t.Errorf("%s: version %d, was %d", name, p.Version, last)
		}
		last = p.Version
	}
}

func TestAClosedPersonSaysWhyAndSince(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	at := time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC)
	closed := amara()
	closed.Closed = &person.Closure{Reason: "Left the organisation", At: at}
	write(t, d, func(tx *db.Tx) error { return person.Create(tx, closed) })
	if diff := cmp.Diff(closed.Closed, byUID(t, d, closed.UID).Closed); diff != "" {
		t.Errorf("closure (-want +got):\n%s", diff)
	}
	write(t, d, func(tx *db.Tx) error { return person.Reopen(tx, closed.UID) })
	if got := byUID(t, d, closed.UID).Closed; got != nil {
		t.Errorf("reopened, but closed %+v", got)
	}
}

func TestTheAllowListKeepsItsOrder(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	want := care.AllowList{"nhs.net", ".nhs.uk", "gmail.com"}
	for range 2 {
		write(t, d, func(tx *db.Tx) error { return person.SetAllowList(tx, want) })
	}
	var got care.AllowList
	write(t, d, func(tx *db.Tx) (err error) {
		got, err = person.AllowList(tx)
		return err
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("allow list (-want +got):\n%s", diff)
	}
}
