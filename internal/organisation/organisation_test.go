package organisation_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/organisation"
)

var schemas = []fs.FS{organisation.Schema}

var (
	surgery  = organisation.Organisation{Code: "Z84001", Name: "HARBOUR STREET SURGERY", Type: "gp_practice", Address: []string{"12 Harbour Street", "Saltby"}, Postcode: "SB2 7HD", Parent: "QX9", RA: "QX9"}
	pharmacy = organisation.Organisation{Code: "FX812", Name: "SALTBY 100% PHARMACY", Type: "pharmacy", Postcode: "SB1 1AA", RA: "QX9"}
)

func stored(t *testing.T, d *db.DB) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		return errors.Join(organisation.Put(tx, surgery), organisation.Put(tx, pharmacy))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnOrganisationIsReadAsStored(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		stored(t, d)
		stored(t, d)
		var all []organisation.Organisation
		err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
			all, err = organisation.All(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []organisation.Organisation{pharmacy, surgery}
		want[0].Address = []string{}
		if diff := cmp.Diff(want, all); diff != "" {
			t.Errorf("directory (-want +got):\n%s", diff)
		}
	})
}

func TestFindWantsEveryWordAndNoWildcard(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		stored(t, d)
		for words, want := range map[string][]care.ODSCode{
			"harbour surg": {"Z84001"},
			"sb1":          {"FX812"},
			"fx812":        {"FX812"},
			"0%":           {"FX812"},
			"%":            {"FX812"},
			"_":            nil,
			"surgery fx":   nil,
			"":             {"Z84001", "FX812"},
		} {
			var found []organisation.Organisation
			err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
				found, err = organisation.Find(tx, words, 10)
				return err
			})
			if err != nil {
				t.Fatalf("%q: %v", words, err)
			}
			var got []care.ODSCode
			for _, o := range found {
				got = append(got, o.Code)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", words, diff)
			}
		}
	})
}

func TestAnUnknownCodeIsNoRows(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		_, err := organisation.ByCode(tx, "NOWHERE")
		return err
	})
	if !errors.Is(err, db.ErrNoRows) {
		t.Errorf("ByCode: %v, want db.ErrNoRows", err)
	}
}
