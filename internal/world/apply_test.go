package world_test

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/notice"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/world"
)

const small = `
email_allow_list: [nhs.net]
organisations:
  - {code: RX9, name: NORTHMOOR, ra: RX9}
  - {code: FX812, name: SALTBY PHARMACY, address: [3 Market Place, Saltby]}
people:
  - uid: "555000100101"
    given_name: Amara
    family_name: OSEI
    email: {address: amara.osei@nhs.net, verified: true}
    memberships: {gmc_id: "7654321"}
    roles:
      - {id: "1", org_person_id: "11", org: RX9, role: "S8000:G8000:R8001", name: '"A":"B":"Nurse"', activities: {B0825: Amend}}
      - {id: "2", org_person_id: "12", org: FX812, role: "S8000:G8000:R8001", name: '"A":"B":"Nurse"'}
  - uid: "555000100108"
    given_name: Owen
    family_name: HUGHES
    email: {address: owen@nhs.net, verified: false}
relying_parties:
  - client_id: ers
    name: e-Referral
    redirect_uris: [https://ers.example/callback]
notices:
  - show: {from: 2026-11-01T00:00:00Z, until: 2027-01-02T19:00:00Z}
    services: [smartcard_unlock]
    text: Closed on Saturday.
`

func parse(t *testing.T, text string) *world.World {
	t.Helper()
	w, err := world.Parse("world.yaml", []byte(text), world.Dev)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func apply(t *testing.T, d *db.DB, text string, prune bool) world.Outcome {
	t.Helper()
	outcome, err := parse(t, text).Apply(t.Context(), world.Options{DB: d, Prune: prune, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func read[T any](t *testing.T, d *db.DB, fn func(tx *db.Tx) (T, error)) T {
	t.Helper()
	var value T
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		value, err = fn(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func lines(changes []world.Change) []string {
	var all []string
	for _, c := range changes {
		all = append(all, strings.Split(c.String(), "\n")...)
	}
	return all
}

func TestApplyingTwiceChangesNothing(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		if first := apply(t, d, small, false); len(first.Changes) == 0 {
			t.Fatal("the first time changed nothing")
		}
		second := apply(t, d, small, true)
		if len(second.Changes) != 0 || len(second.Notes) != 0 || len(second.Secrets) != 0 {
			t.Errorf("the second time: %v %v", lines(second.Changes), second.Notes)
		}
	})
}

func TestApplyingTwiceLeavesEveryRowAlone(t *testing.T) {
	url := dbtest.SQLite(t, schemas...)
	var dumps []string
	for range 2 {
		d, err := db.Open(t.Context(), db.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		apply(t, d, small, true)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		dumps = append(dumps, dump(t, strings.TrimPrefix(url, "sqlite:")))
	}
	if diff := cmp.Diff(dumps[0], dumps[1]); diff != "" {
		t.Errorf("the second time changed (-first +second):\n%s", diff)
	}
	if !strings.Contains(dumps[0], "amara.osei@nhs.net") {
		t.Errorf("the dump shows nothing:\n%s", dumps[0])
	}
}

// dump is every row of every table.
func dump(t *testing.T, path string) string {
	t.Helper()
	pool, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var all []string
	for _, table := range query(t, pool, `SELECT name FROM sqlite_master WHERE type = 'table'`) {
		for _, row := range query(t, pool, `SELECT * FROM "`+table+`"`) {
			all = append(all, table+": "+row)
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func query(t *testing.T, pool *sql.DB, text string) []string {
	t.Helper()
	rows, err := pool.Query(text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimSuffix(fmt.Sprintln(values...), "\n"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestADryRunShowsTheDifferenceAndChangesNothing(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	apply(t, d, small, false)
	changed := strings.NewReplacer(
		"https://ers.example/callback", "https://ers.nhs.uk/callback",
		"given_name: Amara", "title: Dr\n    given_name: Amara",
		"[nhs.net]", "[nhs.net, .nhs.uk]",
		"  - {code: FX812, name: SALTBY PHARMACY, address: [3 Market Place, Saltby]}\n", "  - {code: QX9, name: NEW}\n",
		"org: FX812", "org: QX9",
	).Replace(small)
	for range 2 {
		outcome, err := parse(t, changed).Preview(t.Context(), world.Options{DB: d, Prune: true})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"~ email domains that are accepted",
			"    list: nhs.net → nhs.net, .nhs.uk",
			"+ organisation QX9 NEW",
			"- organisation FX812 SALTBY PHARMACY",
			"~ person 555000100101 Dr Amara OSEI",
			"    title: (nothing) → Dr",
			"~ role 2 Nurse at QX9 of 555000100101",
			"    org: FX812 → QX9",
			"~ relying party ers e-Referral",
			"    redirect_uris: https://ers.example/callback → https://ers.nhs.uk/callback",
		}
		if diff := cmp.Diff(want, lines(outcome.Changes)); diff != "" {
			t.Errorf("difference (-want +got):\n%s", diff)
		}
	}
}

func TestWhatIsMissingStaysUnlessPruned(t *testing.T) {
	const one = `
organisations: [{code: RX9, name: NORTHMOOR, ra: RX9}]
people:
  - uid: "555000100101"
    given_name: Amara
    family_name: OSEI
    memberships: {gmc_id: "7654321"}
    roles:
      - {id: "1", org_person_id: "11", org: RX9, role: "S8000:G8000:R8001", name: '"A":"B":"Nurse"', activities: {B0825: Amend}}
relying_parties: []
`
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		apply(t, d, small, false)
		if outcome := apply(t, d, one, false); len(outcome.Changes) != 0 {
			t.Errorf("without prune: %v", lines(outcome.Changes))
		}
		want := []string{
			"- organisation FX812 SALTBY PHARMACY",
			"- role 2 Nurse at FX812 of 555000100101",
			"- person 555000100108 Owen HUGHES: closed",
			"- relying party ers e-Referral",
		}
		if diff := cmp.Diff(want, lines(apply(t, d, one, true).Changes)); diff != "" {
			t.Errorf("pruned (-want +got):\n%s", diff)
		}
		if again := apply(t, d, one, true); len(again.Changes) != 0 {
			t.Errorf("pruned again: %v", lines(again.Changes))
		}
		if roles := read(t, d, func(tx *db.Tx) ([]access.Role, error) { return access.Roles(tx, "555000100101") }); len(roles) != 1 {
			t.Errorf("%d roles are left", len(roles))
		}
		if orgs := read(t, d, organisation.All); len(orgs) != 1 {
			t.Errorf("%d organisations are left", len(orgs))
		}
		if rps := read(t, d, relyingparty.All); len(rps) != 0 {
			t.Errorf("%d relying parties are left", len(rps))
		}
		if notices := read(t, d, notice.All); len(notices) != 1 {
			t.Errorf("a section that is absent was pruned: %d notices are left", len(notices))
		}
	})
}

func TestAnAddressIsCreatedOnceAndThePersonsOwnEverAfter(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	apply(t, d, small, false)
	const uid = care.UID("555000100101")
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		if err := person.SetPending(tx, uid, "new@nhs.net"); err != nil {
			return err
		}
		_, err := person.Verify(tx, uid, "new@nhs.net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	outcome := apply(t, d, small, true)
	if len(outcome.Changes) != 0 || len(outcome.Notes) != 1 {
		t.Errorf("applying again: %v, notes %q", lines(outcome.Changes), outcome.Notes)
	}
	p := read(t, d, func(tx *db.Tx) (person.Person, error) { return person.ByUID(tx, uid) })
	if p.Email != "new@nhs.net" {
		t.Errorf("the address is %s", p.Email)
	}
}

func TestAPersonWithoutAnAddressGetsTheOneOfTheFile(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	apply(t, d, "people: [{uid: \"555000100101\", given_name: Amara, family_name: OSEI}]", false)
	apply(t, d, small, false)
	p := read(t, d, func(tx *db.Tx) (person.Person, error) { return person.ByUID(tx, "555000100101") })
	if p.Email != "amara.osei@nhs.net" || p.Pending != "" {
		t.Errorf("address %q, pending %q", p.Email, p.Pending)
	}
}

func TestAnAddressThatSomebodyElseVerifiedIsAMistake(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	apply(t, d, small, false)
	w := parse(t, `
people:
  - uid: "555000100109"
    given_name: Zoë
    family_name: O'NEILL
    email: {address: amara.osei@nhs.net, verified: true}
`)
	_, err := w.Apply(t.Context(), world.Options{DB: d, Random: rand.Reader})
	want := "world.yaml:6: email.address: person 555000100101 signs in with it already"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if all := read(t, d, person.All); len(all) != 2 {
		t.Errorf("there are %d people", len(all))
	}
}

func TestClosingIsManaged(t *testing.T) {
	closed := strings.Replace(small, "    family_name: HUGHES\n", "    family_name: HUGHES\n    closed: {reason: Left, date: 2026-03-31}\n", 1)
	d := dbtest.Open(t, schemas...)
	apply(t, d, small, false)
	for _, step := range []struct {
		text, want string
		closed     bool
	}{
		{closed, "- person 555000100108 Owen HUGHES: closed", true},
		{closed, "", true},
		{small, "~ person 555000100108 Owen HUGHES\n    closed: Left → (nothing)", false},
	} {
		got := strings.Join(lines(apply(t, d, step.text, false).Changes), "\n")
		if got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
		p := read(t, d, func(tx *db.Tx) (person.Person, error) { return person.ByUID(tx, "555000100108") })
		if (p.Closed != nil) != step.closed {
			t.Errorf("closed: %+v", p.Closed)
		}
	}
}

func TestAClientSecretIsGeneratedOnceAndShownOnce(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	first := apply(t, d, small, false)
	if len(first.Secrets) != 1 || len(first.Secrets[0].Value) < 43 {
		t.Fatalf("secrets: %v", first.Secrets)
	}
	byID := func(tx *db.Tx) (relyingparty.RelyingParty, error) { return relyingparty.ByID(tx, "ers") }
	if rp := read(t, d, byID); !rp.CheckSecret(first.Secrets[0].Value) {
		t.Error("the secret that was shown is not the relying party's")
	}
	if again := apply(t, d, strings.Replace(small, "e-Referral", "Renamed", 1), false); len(again.Secrets) != 0 {
		t.Errorf("another secret was made: %v", again.Secrets)
	}
	if rp := read(t, d, byID); !rp.CheckSecret(first.Secrets[0].Value) || rp.Name != "Renamed" {
		t.Errorf("a later change lost the secret, or itself (%s)", rp.Name)
	}
	chosen := strings.Replace(small, "name: e-Referral", "name: e-Referral\n    secret: chosen", 1)
	if got := lines(apply(t, d, chosen, false).Changes); !slices.Contains(got, "    secret: changes") || strings.Contains(strings.Join(got, ""), "chosen") {
		t.Errorf("changes: %q", got)
	}
	if rp := read(t, d, byID); !rp.CheckSecret("chosen") || rp.CheckSecret(first.Secrets[0].Value) {
		t.Error("in dev mode the file's secret did not win")
	}
}

func TestACorrectedNoticeReplacesTheOld(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	apply(t, d, small, false)
	apply(t, d, strings.Replace(small, "Closed on Saturday.", "Closed on Sunday.", 1), false)
	notices := read(t, d, notice.All)
	if len(notices) != 1 || notices[0].Text != "Closed on Sunday." {
		t.Errorf("notices: %+v", notices)
	}
}
