package organisation_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

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
