package credential_test

import (
	"errors"
	"io/fs"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

const amara, helen = care.UID("555000100101"), care.UID("555000100103")

// house is the room on one database, with a clock.
type house struct {
	t     *testing.T
	db    *db.DB
	clock *atomic.Pointer[time.Time]
}

func each(t *testing.T, test func(t *testing.T, h house)) {
	t.Helper()
	clock := &atomic.Pointer[time.Time]{}
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	clock.Store(&now)
	dbtest.EachAt(t, func() time.Time { return *clock.Load() }, []fs.FS{credential.Schema}, func(t *testing.T, d *db.DB) {
		test(t, house{t, d, clock})
	})
}

func (h house) now() time.Time { return *h.clock.Load() }

func (h house) later(d time.Duration) {
	now := h.now().Add(d)
	h.clock.Store(&now)
}

func (h house) write(fn func(tx *db.Tx) error) {
	h.t.Helper()
	if err := h.db.Write(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h house) bind(id, journey string, uid care.UID) error {
	return h.db.Write(h.t.Context(), func(tx *db.Tx) error {
		_, err := credential.NewBinder().Bind(tx, id, journey, enrolment(uid), care.AAL2)
		return err
	})
}

func (h house) record(id string) (r credential.Record) {
	h.t.Helper()
	h.write(func(tx *db.Tx) (err error) {
		r, err = credential.ByID(tx, id)
		return err
	})
	return r
}

func (h house) touch(id string, version int64) (ok bool) {
	h.t.Helper()
	h.write(func(tx *db.Tx) (err error) {
		ok, err = credential.Touch(tx, id, version)
		return err
	})
	return ok
}

// enrolment is one whose method has no rows of its own.
func enrolment(uid care.UID) credential.Enrolment {
	return proof.NewEnrolment(proof.EnrolmentFields{
		UID: uid, Method: care.AuthenticatorApp, Name: "Microsoft Authenticator",
		Store: func(*db.Tx, string, care.AAL) error { return nil },
	})
}

// TestOnlyWiringGivesABinder: decision 1. A Binder that NewBinder did not make
// creates and removes nothing.
func TestOnlyWiringGivesABinder(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		if err := h.bind("a", "journey", amara); err != nil {
			t.Fatal(err)
		}
		err := h.db.Write(t.Context(), func(tx *db.Tx) error {
			_, err := credential.Binder{}.Bind(tx, "b", "another", enrolment(amara), care.AAL2)
			return err
		})
		if err == nil {
			t.Error("the zero Binder bound an authenticator")
		}
		if err := h.db.Write(t.Context(), func(tx *db.Tx) error { return credential.Binder{}.Remove(tx, "a") }); err == nil {
			t.Error("the zero Binder removed an authenticator")
		}
		if r := h.record("a"); r.ID != "a" {
			t.Errorf("left: %+v", r)
		}
	})
}

// TestZeroValuesProveNothing: what no verifier made is recognised.
func TestZeroValuesProveNothing(t *testing.T) {
	if (credential.Proof{}).Valid() || (credential.Enrolment{}).Valid() || (credential.Change{}).Valid() {
		t.Error("a zero value is valid")
	}
	if !proof.New(proof.Fields{}).Valid() || !enrolment(amara).Valid() || !proof.NewChange(proof.ChangeFields{}).Valid() {
		t.Error("what a verifier made is not valid")
	}
	if err := proof.New(proof.Fields{}).Consume(nil); err != nil {
		t.Errorf("a proof with nothing to consume: %v", err)
	}
}

func TestOneJourneyBindsOnce(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		if err := h.bind("a", "journey", amara); err != nil {
			t.Fatal(err)
		}
		for _, uid := range []care.UID{amara, helen} {
			if err := h.bind("b", "journey", uid); !errors.Is(err, credential.ErrJourneyFinished) {
				t.Errorf("the journey bound again for %s: %v", uid, err)
			}
		}
		if err := h.bind("b", "another journey", amara); err != nil {
			t.Errorf("another journey: %v", err)
		}
	})
}

func TestRecordAndItsMethodsRowsComeTogether(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		failure := errors.New("no room")
		broken := proof.NewEnrolment(proof.EnrolmentFields{
			UID: amara, Method: care.Passkey, Store: func(*db.Tx, string, care.AAL) error { return failure },
		})
		err := h.db.Write(t.Context(), func(tx *db.Tx) error {
			_, err := credential.NewBinder().Bind(tx, "a", "journey", broken, care.AAL2)
			return err
		})
		if !errors.Is(err, failure) {
			t.Errorf("Bind: %v", err)
		}
		err = h.db.Write(t.Context(), func(tx *db.Tx) error {
			_, err := credential.ByID(tx, "a")
			return err
		})
		if !errors.Is(err, db.ErrNoRows) {
			t.Errorf("the record stayed: %v", err)
		}
	})
}

func TestRecordsOfAPersonInTheOrderOfTheirRegistration(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		for _, id := range []string{"c", "a", "b"} {
			if err := h.bind(id, "journey "+id, amara); err != nil {
				t.Fatal(err)
			}
			h.later(time.Minute)
		}
		if err := h.bind("d", "journey d", helen); err != nil {
			t.Fatal(err)
		}
		list := func() (ids []string) {
			h.write(func(tx *db.Tx) error {
				all, err := credential.Of(tx, amara)
				ids = nil
				for _, r := range all {
					ids = append(ids, r.ID)
				}
				return err
			})
			return ids
		}
		if got := list(); !slices.Equal(got, []string{"c", "a", "b"}) {
			t.Errorf("Of = %q", got)
		}
		h.write(func(tx *db.Tx) error { return credential.NewBinder().Remove(tx, "a") })
		if got := list(); !slices.Equal(got, []string{"c", "b"}) {
			t.Errorf("after one was removed: %q", got)
		}
	})
}

// TestTouchRefusesWhatChangedMeanwhile: a proof is worth nothing if its
// authenticator is not what it was when it was verified.
func TestTouchRefusesWhatChangedMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		change func(tx *db.Tx) error
		want   bool
	}{
		"nothing":   {func(*db.Tx) error { return nil }, true},
		"changed":   {func(tx *db.Tx) error { return credential.Changed(tx, "a") }, false},
		"suspended": {func(tx *db.Tx) error { return credential.Suspend(tx, "a", "lost") }, false},
		"disabled":  {func(tx *db.Tx) error { _, err := credential.Disable(tx, "a"); return err }, false},
		"removed":   {func(tx *db.Tx) error { return credential.NewBinder().Remove(tx, "a") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, h house) {
				if err := h.bind("a", "journey", amara); err != nil {
					t.Fatal(err)
				}
				verified := h.record("a").Version
				h.write(c.change)
				h.later(time.Minute)
				if ok := h.touch("a", verified); ok != c.want {
					t.Fatalf("Touch = %t", ok)
				}
				if c.want && !h.record("a").LastUsed.Equal(h.now()) {
					t.Errorf("last used %v", h.record("a").LastUsed)
				}
			})
		})
	}
}

// TestSuspendedOrDisabledIsOfNoUseAtAnyVersion: reading the newest version does
// not help.
func TestSuspendedOrDisabledIsOfNoUseAtAnyVersion(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		for _, id := range []string{"suspended", "disabled"} {
			if err := h.bind(id, id, amara); err != nil {
				t.Fatal(err)
			}
		}
		first := h.now()
		for range 2 { // the second time changes nothing
			h.write(func(tx *db.Tx) error { return credential.Suspend(tx, "suspended", "lost") })
			h.write(func(tx *db.Tx) error {
				done, err := credential.Disable(tx, "disabled")
				if done != h.now().Equal(first) {
					t.Errorf("Disable reports %t at %v", done, h.now())
				}
				return err
			})
			h.later(time.Minute)
		}
		for _, id := range []string{"suspended", "disabled"} {
			r := h.record(id)
			if r.Version != 2 || r.Usable() || !r.SuspendedAt.Equal(first) && !r.DisabledAt.Equal(first) {
				t.Errorf("%s: %+v", id, r)
			}
			if h.touch(id, r.Version) {
				t.Errorf("the %s authenticator was used", id)
			}
		}
	})
}

func TestMissingRecordsAreErrors(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		for name, fn := range map[string]func(tx *db.Tx) error{
			"Changed": func(tx *db.Tx) error { return credential.Changed(tx, "a") },
			"Remove":  func(tx *db.Tx) error { return credential.NewBinder().Remove(tx, "a") },
			"ByID":    func(tx *db.Tx) error { _, err := credential.ByID(tx, "a"); return err },
		} {
			if err := h.db.Write(t.Context(), fn); !errors.Is(err, db.ErrNoRows) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
