package access_test

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/organisation"
)

var schemas = []fs.FS{access.Schema, organisation.Schema}

const ravi = care.UID("555000100105")

func roles() []access.Role {
	return []access.Role{
		{
			ID: "2", OrgPersonID: "302", UID: ravi, Org: "RX901", Code: "S8000:G8000:R8003", Position: 0,
			Name:       `"Clinical":"Clinical Provision":"Health Professional Access Role"`,
			Activities: map[string]string{"B0420": "Independent Prescribing", "B0401": "View Patient Medication"},
			Workgroups: map[string]string{"555653110100": "Saltby team"},
			Areas:      map[string]string{"P0020:Q0300:T0640": `"Pathology":"Pathology":"Phlebotomy"`},
		},
		{
			ID: "1", OrgPersonID: "301", UID: ravi, Org: "GONE", Code: "S8000:G8000:R8000", Position: 1,
			Name:       `"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"`,
			Activities: map[string]string{}, Workgroups: map[string]string{}, Areas: map[string]string{},
		},
	}
}

func stored(t *testing.T, d *db.DB) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		for _, r := range roles() {
			if err := access.Put(tx, r); err != nil {
				return err
			}
		}
		return organisation.Put(tx, organisation.Organisation{Code: "RX901", Name: "NORTHMOOR ROYAL INFIRMARY"})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRolesComeInTheirOrderWithTheNameOfTheOrganisation(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		stored(t, d)
		var got []access.Role
		err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
			got, err = access.Roles(tx, ravi)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := roles()
		want[0].OrgName = "NORTHMOOR ROYAL INFIRMARY"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("roles (-want +got):\n%s", diff)
		}
	})
}

func TestTheLabelIsTheLastPartOfTheName(t *testing.T) {
	for name, want := range map[string]string{
		`"Clinical":"Clinical Provision":"Nurse Access Role"`: "Nurse Access Role",
		`"Admin & Clerical":"Management - A & C":"X"`:         "X",
		`Plain`: "Plain",
		``:      "",
	} {
		if got := (access.Role{Name: name}).Label(); got != want {
			t.Errorf("label of %s = %q, want %q", name, got, want)
		}
	}
}
