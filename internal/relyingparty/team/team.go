// Package team knows the suppliers' teams that look after relying parties
// through the Connection Manager, and the secrets by which their programs
// prove that they are theirs.
//
// The operator's commands and the Connection Manager come in; a Team leaves,
// and each change with its audit entry. Which relying party a team looks after
// stands in the relying party. A secret has 256 bits and is kept as SHA-256
// only (decision 15); the room never shows one twice.
package team

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"time"
	"unicode"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables.
var Schema fs.FS = schema

// Team is one team of a supplier.
type Team struct {
	ID, Name  string
	CreatedAt time.Time
}

// The errors of a change that was not made.
var (
	ErrTaken     = errors.New("there is a team with this id already")
	ErrInUse     = errors.New("the team still looks after relying parties")
	ErrID        = errors.New("a team's id has at most 64 small letters, digits, - and _, beginning with a letter or digit")
	ErrName      = errors.New("a team's name has 1 to 255 bytes on one line")
	ErrNoSecrets = errors.New("the team has no secret to drop")
)

var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

const longestName = 255

// Add makes a team. actor is who did it, for the audit log.
func Add(tx *db.Tx, actor, id, name string) error {
	if !idForm.MatchString(id) {
		return ErrID
	}
	if strings.TrimSpace(name) == "" || len(name) > longestName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return ErrName
	}
	n, err := tx.Exec(`INSERT INTO team (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, id, name, db.Micros(tx.Now()))
	if err != nil {
		return fmt.Errorf("adding team %s: %w", id, err)
	}
	if n == 0 {
		return ErrTaken
	}
	return record(tx, "team.added", actor, id, audit.Field{Name: "name", Value: name})
}

// ByID returns the team, or db.ErrNoRows.
func ByID(tx *db.Tx, id string) (Team, error) { return byID(tx, id, "") }

// Locked is ByID for a transaction that goes on to change what belongs to the
// team: until its end nobody else does.
func Locked(tx *db.Tx, id string) (Team, error) { return byID(tx, id, tx.ForUpdate()) }

func byID(tx *db.Tx, id, lock string) (Team, error) {
	t, err := scan(tx.Row(`SELECT id, name, created_at FROM team WHERE id = $1`+lock, id))
	if err != nil {
		return Team{}, fmt.Errorf("reading team %q: %w", id, err)
	}
	return t, nil
}

// All returns every team in the order of the ids.
func All(tx *db.Tx) ([]Team, error) {
	rows, err := tx.Rows(`SELECT id, name, created_at FROM team ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("reading teams: %w", err)
	}
	defer rows.Close()
	var all []Team
	for rows.Next() {
		t, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading teams: %w", err)
		}
		all = append(all, t)
	}
	return all, rows.Close()
}

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (Team, error) {
	var t Team
	var created int64
	if err := row.Scan(&t.ID, &t.Name, &created); err != nil {
		return Team{}, err
	}
	t.CreatedAt = db.Time(created)
	return t, nil
}

// Remove takes away a team that Locked has returned, with its secrets and
// sessions. inUse is how many relying parties name it: with one it fails,
// because nobody would look after them.
func Remove(tx *db.Tx, actor string, t Team, inUse int) error {
	if inUse > 0 {
		return ErrInUse
	}
	if err := deleteSecrets(tx, t.ID, 0); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM team WHERE id = $1`, t.ID); err != nil {
		return fmt.Errorf("removing team %s: %w", t.ID, err)
	}
	return record(tx, "team.removed", actor, t.ID)
}

// maxSecrets is how many secrets of a team are good at the same time: two
// while one is being replaced.
const maxSecrets = 2

const (
	secretSize = 32 // bytes (decision 15: 256 bits)
	idSize     = 9
)

// Secret is a secret of a team, without the secret itself.
type Secret struct {
	ID, Team          string
	CreatedAt, UsedAt time.Time // UsedAt is zero for never
}

// Fresh is a new secret that AddSecret has not stored yet. Value is to be
// shown once.
type Fresh struct{ ID, Value string }

// NewSecret makes a secret, outside the transaction that stores it.
func NewSecret(random io.Reader) Fresh {
	return Fresh{ID: keys.Token(random, idSize), Value: keys.Token(random, secretSize)}
}

// AddSecret makes the secret good for a team that Locked has returned. The one
// before stays good, so that programs change over without a pause; older ones
// are good no more.
func AddSecret(tx *db.Tx, actor string, t Team, s Fresh) error {
	if err := deleteSecrets(tx, t.ID, maxSecrets-1); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO team_secret (id, team, hash, created_at, used_at) VALUES ($1, $2, $3, $4, 0)`,
		s.ID, t.ID, keys.Hash(s.Value), db.Micros(tx.Now()))
	if err != nil {
		return fmt.Errorf("adding a secret of team %s: %w", t.ID, err)
	}
	return record(tx, "team_secret.added", actor, t.ID, audit.Field{Name: "secret", Value: s.ID})
}

// DropSecrets makes all but the newest secrets of a team good no more, or all
// of them, and ends their sessions.
func DropSecrets(tx *db.Tx, actor string, t Team, all bool) error {
	keep := 1
	if all {
		keep = 0
	}
	secrets, err := Secrets(tx, t.ID)
	if err != nil {
		return err
	}
	if len(secrets) <= keep {
		return ErrNoSecrets
	}
	if err := deleteSecrets(tx, t.ID, keep); err != nil {
		return err
	}
	for _, s := range secrets[keep:] {
		if err := record(tx, "team_secret.dropped", actor, t.ID, audit.Field{Name: "secret", Value: s.ID}); err != nil {
			return err
		}
	}
	return nil
}

// deleteSecrets deletes all but the newest.
func deleteSecrets(tx *db.Tx, team string, keep int) error {
	_, err := tx.Exec(`
		DELETE FROM team_secret WHERE team = $1
		   AND id NOT IN (SELECT id FROM team_secret WHERE team = $1 ORDER BY created_at DESC, id LIMIT $2)`, team, int64(keep))
	if err != nil {
		return fmt.Errorf("dropping secrets of team %s: %w", team, err)
	}
	return nil
}

// Secrets returns the secrets of a team that are good now, the newest first.
func Secrets(tx *db.Tx, team string) ([]Secret, error) {
	rows, err := tx.Rows(`SELECT id, team, created_at, used_at FROM team_secret WHERE team = $1 ORDER BY created_at DESC, id`, team)
	if err != nil {
		return nil, fmt.Errorf("reading the secrets of team %s: %w", team, err)
	}
	defer rows.Close()
	var all []Secret
	for rows.Next() {
		s, err := scanSecret(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the secrets of team %s: %w", team, err)
		}
		all = append(all, s)
	}
	return all, rows.Close()
}

func scanSecret(row scanner) (Secret, error) {
	var s Secret
	var created, used int64
	if err := row.Scan(&s.ID, &s.Team, &created, &used); err != nil {
		return Secret{}, err
	}
	s.CreatedAt = db.Time(created)
	if used != 0 {
		s.UsedAt = db.Time(used)
	}
	return s, nil
}

// SignIn returns whose secret this is and records that it was used, or
// db.ErrNoRows. It is looked up by its hash: what is compared with stored
// bytes is nothing that a guesser can steer.
func SignIn(tx *db.Tx, secret string) (Secret, error) {
	s, err := scanSecret(tx.Row(`UPDATE team_secret SET used_at = $2 WHERE hash = $1 RETURNING id, team, created_at, used_at`,
		keys.Hash(secret), db.Micros(tx.Now())))
	if err != nil {
		return Secret{}, fmt.Errorf("looking a team's secret up: %w", err)
	}
	return s, record(tx, "team.signed_in", "team "+s.Team, s.Team, audit.Field{Name: "secret", Value: s.ID})
}

// SecretByID returns the secret if it is still good, or db.ErrNoRows.
func SecretByID(tx *db.Tx, id string) (Secret, error) {
	s, err := scanSecret(tx.Row(`SELECT id, team, created_at, used_at FROM team_secret WHERE id = $1`, id))
	if err != nil {
		return Secret{}, fmt.Errorf("reading a team's secret: %w", err)
	}
	return s, nil
}

func record(tx *db.Tx, action, actor, team string, fields ...audit.Field) error {
	return audit.Record(tx, audit.Entry{
		Action: action, Actor: actor,
		Fields: append(fields, audit.Field{Name: "which", Value: team}),
	})
}
