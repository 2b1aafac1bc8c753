package db_test

import (
	"errors"
	"testing"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

func TestListenerIsWokenAfterTheCommitAndByNothingElse(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		heard, stop := d.Listen("mail")
		other, stopOther := d.Listen("audit")
		defer stopOther()
		quiet := func(why string) {
			t.Helper()
			select {
			case <-heard:
				t.Errorf("woken: %s", why)
			case <-other:
				t.Errorf("another topic woken: %s", why)
			default:
			}
		}
		wake := func(err error) error {
			return d.Write(t.Context(), func(tx *db.Tx) error {
				tx.Wake("mail")
				quiet("before the commit")
				return err
			})
		}
		if err := wake(errors.New("broken")); err == nil {
			t.Fatal("a failed write told of success")
		}
		quiet("after a rollback")
		for range 3 {
			if err := wake(nil); err != nil {
				t.Fatal(err)
			}
			<-heard
			if err := wake(nil); err != nil {
				t.Fatal(err)
			}
			if len(heard) != 1 {
				t.Error("a commit was not told")
			}
			<-heard
		}
		stop()
		if err := wake(nil); err != nil {
			t.Fatal(err)
		}
		quiet("after stop")
	})
}
