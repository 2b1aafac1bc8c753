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
			Activities: map[string]string{"B0420": "Independent \"Prescribing\" \\ <&> Ë\t", "B0401": "View Patient Medication"},
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

// What is read beside a row that leads to the person is what Roles reads.
func TestRolesBesideARowAreTheSame(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		stored(t, d)
		for _, uid := range []care.UID{ravi, "555000100999"} {
			var want, got []access.Role
			err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
				if want, err = access.Roles(tx, uid); err != nil {
					return err
				}
				var text string
				if err := tx.Row(`SELECT `+access.RolesOf(tx, "who.uid")+` FROM (SELECT CAST($1 AS TEXT) AS uid) who`, uid).Scan(&text); err != nil {
					return err
				}
				got, err = access.ReadRoles(text)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("roles of %s (-Roles +RolesOf):\n%s", uid, diff)
			}
		}
	})
}

func TestARoleIsHeldByItsPersonAlone(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		stored(t, d)
		for _, c := range []struct {
			uid  care.UID
			id   string
			want bool
		}{{ravi, "1", true}, {ravi, "2", true}, {ravi, "3", false}, {ravi, "", false}, {"555000100999", "1", false}} {
			err := d.Read(t.Context(), func(tx *db.Tx) error {
				held, err := access.Held(tx, c.uid, c.id)
				if held != c.want {
					t.Errorf("%s, %q: %t, want %t", c.uid, c.id, held, c.want)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
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

// TestACohortIsOpenToWhomItNames: people by themselves or by where they have a
// role, services by their client ids; nobody where nothing is said.
func TestACohortIsOpenToWhomItNames(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		stored(t, d)
		for name, c := range map[string]struct {
			services, people      []string
			service, self, person bool
		}{
			"nobody":                {nil, nil, false, false, false},
			"everybody":             {[]string{"all"}, []string{"all"}, true, true, true},
			"named":                 {[]string{"ers"}, []string{string(ravi)}, true, true, true},
			"where they work":       {[]string{"x", "ers"}, []string{"Z84001", "GONE"}, true, true, true},
			"others":                {[]string{"ncrs"}, []string{"555000100106", "Z84001"}, false, true, false},
			"services alone":        {[]string{"all"}, nil, true, true, false},
			"people alone":          {nil, []string{"all"}, false, false, true},
			"a part of a name":      {[]string{"er"}, []string{"RX9"}, false, true, false},
			"an empty client id":    {[]string{""}, []string{""}, false, true, false},
			"what would be a quote": {[]string{"'"}, []string{"' OR '1'='1"}, false, true, false},
		} {
			cohort := access.NewCohort(c.services, c.people)
			var person bool
			err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
				person, err = cohort.Person(tx, ravi)
				return err
			})
			if err != nil || person != c.person || cohort.Service("ers") != c.service || cohort.Service("") != c.self {
				t.Errorf("%s: person %t, service %t, Carekey itself %t (%v)", name, person, cohort.Service("ers"), cohort.Service(""), err)
			}
		}
	})
}
