package notice_test

import (
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/notice"
)

var schemas = []fs.FS{notice.Schema}

var (
	from  = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	until = time.Date(2027, 1, 2, 19, 0, 0, 0, time.UTC)
)

func upgrade() notice.Notice {
	return notice.Notice{
		ID: "upgrade", Show: notice.Window{From: from, Until: until},
		Outage:   notice.Window{From: until.Add(-10 * time.Hour), Until: until},
		Services: []string{"care_identity_management"}, Text: "Unavailable on Saturday.",
	}
}

func TestANoticeIsShownFromItsFirstSecondUntilItsLast(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error { return notice.Put(tx, upgrade()) })
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []struct {
			time time.Time
			want []notice.Notice
		}{
			{from.Add(-time.Second), nil},
			{from, []notice.Notice{upgrade()}},
			{until.Add(-time.Second), []notice.Notice{upgrade()}},
			{until, nil},
		} {
			var got []notice.Notice
			err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
				got, err = notice.Showing(tx, at.time)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(at.want, got); diff != "" {
				t.Errorf("showing at %s (-want +got):\n%s", at.time, diff)
			}
		}
	})
}

func TestADismissedNoticeIsShownAgainWhenItsWordsChange(t *testing.T) {
	before, after := upgrade(), upgrade()
	after.Show.Until = until.Add(time.Hour)
	if before.Dismissal() != after.Dismissal() {
		t.Error("a longer window changed the dismissal")
	}
	after.Text += " Sorry."
	if before.Dismissal() == after.Dismissal() {
		t.Error("new words did not change the dismissal")
	}
}
