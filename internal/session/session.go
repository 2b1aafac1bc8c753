// Package session keeps who is signed in: server-side rows that an opaque
// cookie points to.
//
// The gate alone opens a session, through the Opener that wiring gives to it.
// Ways ask for the current one and end it. A level never rises within a
// session: a step-up is a new sign-in and a new session.
package session

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"sync"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations.
var Schema fs.FS = schema

// Cookie is the name of the session cookie (N18: the __Host- prefix binds it to
// this host, to https and to the whole path).
const Cookie = "__Host-carekey"

// tokenSize is the size of the session secret in bytes: 256 bits, where N18
// asks for 64 and ASVS 7.2.3 for 128.
const tokenSize = 32

// touchEvery is how often activity is recorded at most, to spare the database.
const touchEvery = time.Minute

// keepEnded is how long an ended session stays readable, for sign-outs that
// relying parties are told of, and for the service desk.
const keepEnded = 48 * time.Hour

// Limits are the limits of sessions at one level.
type Limits struct {
	// Idle is how long without activity, Total how long altogether.
	Idle, Total time.Duration
}

// The highest limits that a configuration may set (N2, N3: NIST SP 800-63B-4
// sections 2.2.3 and 2.3.3), which are also the defaults.
var (
	MostAAL2 = Limits{Idle: time.Hour, Total: 24 * time.Hour}
	MostAAL3 = Limits{Idle: 15 * time.Minute, Total: 12 * time.Hour}
)

// Options of the sessions. Zero limits mean the highest allowed.
type Options struct {
	AAL2, AAL3 Limits
	Random     io.Reader
}

// Sessions reads and ends sessions.
type Sessions struct {
	db         *db.DB
	aal2, aal3 Limits
	random     io.Reader
	touching   sync.Map // the IDs of sessions whose activity is being recorded
	patience   time.Duration
}

// New returns the sessions, and the Opener for the gate. Limits above the
// highest are an error.
func New(d *db.DB, o Options) (*Sessions, Opener, error) {
	aal2, err := within(o.AAL2, MostAAL2, "AAL2")
	if err != nil {
		return nil, Opener{}, err
	}
	aal3, err := within(o.AAL3, MostAAL3, "AAL3")
	if err != nil {
		return nil, Opener{}, err
	}
	s := &Sessions{db: d, aal2: aal2, aal3: aal3, random: o.Random, patience: touchWithin}
	return s, Opener{s}, nil
}

func within(set, most Limits, level string) (Limits, error) {
	if set.Idle == 0 {
		set.Idle = most.Idle
	}
	if set.Total == 0 {
		set.Total = most.Total
	}
	if set.Idle > most.Idle || set.Total > most.Total || set.Idle < 0 || set.Total < 0 {
		return Limits{}, fmt.Errorf("%s sessions may last at most %v idle and %v altogether", level, most.Idle, most.Total)
	}
	return set, nil
}

func (s *Sessions) limits(level care.AAL) Limits {
	if level >= care.AAL3 {
		return s.aal3
	}
	return s.aal2
}

// Session is one sign-in of one person in one browser.
type Session struct {
	// ID is the hash of the cookie's token, SID the public name.
	ID              []byte
	SID             string
	UID             care.UID
	AAL             care.AAL
	Method          care.Method
	AuthenticatorID string
	AuthTime        time.Time
	LastSeen        time.Time
	IdleUntil       time.Time
	Until           time.Time
	// Role is the person's role id chosen in this session at RoleAt, or "".
	Role   string
	RoleAt time.Time
	// Terms is the version of the terms agreed to at sign-in.
	Terms string
	// Browser is as BrowserName calls it. Client is the relying party that the
	// person signed in for, or "". Shared: the computer is one that people
	// share. Spent: there, the sign-in has served its relying party.
	Browser, Client string
	Shared, Spent   bool
}

// Satisfies reports whether the session meets a requirement, its role apart. A
// relying party that does not accept the method is not satisfied by its level, and
// on a shared computer none is by the sign-in for another.
func (s *Session) Satisfies(req care.Requirement) bool {
	return s.Serves(req.ClientID) && req.Reaches(s.Method, s.AAL) && slices.Contains(req.Methods, s.Method) &&
		!s.AuthTime.Before(req.AuthenticatedAfter)
}

// Fresh reports whether the sign-in was at most age ago: what changes a
// person's authenticators or address asks for that (ASVS 7.5.1).
func (s *Session) Fresh(now time.Time, age time.Duration) bool {
	return now.Sub(s.AuthTime) <= age
}

const columns = `id, sid, uid, aal, method, authenticator_id, auth_time, last_seen, idle_until, until, role, role_at, terms, browser, client, shared, spent`

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner, beside ...any) (*Session, error) {
	var s Session
	var authTime, seen, idle, until, roleAt int64
	into := []any{&s.ID, &s.SID, &s.UID, &s.AAL, &s.Method, &s.AuthenticatorID, &authTime, &seen, &idle, &until,
		&s.Role, &roleAt, &s.Terms, &s.Browser, &s.Client, &s.Shared, &s.Spent}
	err := row.Scan(append(into, beside...)...)
	s.AuthTime, s.LastSeen, s.RoleAt = db.Time(authTime), db.Time(seen), db.Time(roleAt)
	s.IdleUntil, s.Until = db.Time(idle), db.Time(until)
	return &s, err
}

// Token returns the session token of a request, or "".
func Token(r *http.Request) string {
	cookie, err := r.Cookie(Cookie)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// Current returns the live session of a request, or nil if there is none. Its
// limits are enforced here, never by the cookie's life (N4). Activity is
// recorded at most once a minute, if the database lets it be.
func (s *Sessions) Current(ctx context.Context, r *http.Request) (*Session, error) {
	return s.CurrentBeside(ctx, r, nothing)
}

// Beside is what a way reads of the session's person in the statement that
// reads the session: columns, as SQL expressions over the column OfPerson that
// the owners of the tables give, and where to put them.
type Beside func(tx *db.Tx) (columns string, into []any)

// OfPerson is the session's person in the columns of a Beside.
const OfPerson = "session.uid"

func nothing(*db.Tx) (string, []any) { return "", nil }

// CurrentBeside is Current that reads something of its person beside.
func (s *Sessions) CurrentBeside(ctx context.Context, r *http.Request, beside Beside) (*Session, error) {
	token := Token(r)
	if token == "" {
		return nil, nil
	}
	var found *Session
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		found, err = liveBeside(tx, keys.Hash(token), beside)
		return err
	})
	if err != nil || found == nil {
		return nil, err
	}
	if now := s.db.Now(); now.Sub(found.LastSeen) >= touchEvery {
		if err := s.touch(ctx, found, now); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Live returns the session with this ID if it is alive, else nil: the gate
// asks again in its own transaction.
func Live(tx *db.Tx, id []byte) (*Session, error) { return liveBeside(tx, id, nothing) }

func liveBeside(tx *db.Tx, id []byte, beside Beside) (*Session, error) {
	now := db.Micros(tx.Now())
	also, into := beside(tx)
	if also != "" {
		also = ", " + also
	}
	s, err := scan(tx.Row(`SELECT `+columns+also+` FROM session
		WHERE id = $1 AND ended_at = 0 AND idle_until > $2 AND until > $2`, id, now), into...)
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a session: %w", err)
	}
	return s, nil
}

// ChooseRole remembers the role chosen in a session.
func ChooseRole(tx *db.Tx, id []byte, role string) error {
	_, err := tx.Exec(`UPDATE session SET role = $1, role_at = $2 WHERE id = $3 AND ended_at = 0`,
		role, db.Micros(tx.Now()), id)
	if err != nil {
		return fmt.Errorf("remembering the role: %w", err)
	}
	return nil
}

// ChooseHeldRole is ChooseRole for the live session of a token, if its person
// holds the role: held is an SQL condition over OfPerson and $1, the role. It
// returns the session, or nil if there is none or the role is not held.
func ChooseHeldRole(tx *db.Tx, token, role, held string) (*Session, error) {
	s, err := scan(tx.Row(`UPDATE session SET role = $1, role_at = $2
		WHERE id = $3 AND ended_at = 0 AND idle_until > $2 AND until > $2 AND `+held+` RETURNING `+columns,
		role, db.Micros(tx.Now()), keys.Hash(token)))
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("remembering the role: %w", err)
	}
	return s, nil
}

// End ends one session. Ending it again changes nothing.
func End(tx *db.Tx, id []byte, why string) error {
	return end(tx, why, `id = $3`, id)
}

// EndAll ends every session of a person.
func EndAll(tx *db.Tx, uid care.UID, why string) error {
	return end(tx, why, `uid = $3`, uid)
}

// EndOthers ends every session of a person but one.
func EndOthers(tx *db.Tx, uid care.UID, keep []byte, why string) error {
	return end(tx, why, `uid = $3 AND id <> $4`, uid, keep)
}

// EndOf ends every session that an authenticator of a person opened or took
// part in.
func EndOf(tx *db.Tx, uid care.UID, authenticatorID, why string) error {
	return end(tx, why, `uid = $3 AND (authenticator_id = $4 OR earlier LIKE $5)`, // by the index on uid
		uid, authenticatorID, "% "+authenticatorID+" %")
}

// end is the one place where sessions end on somebody's word, whatever the
// trigger (decision 7). What it marks as untold, relying parties will be told.
func end(tx *db.Tx, why, which string, args ...any) error {
	ended, err := tx.Exec(`UPDATE session SET ended_at = $1, ended_why = $2, untold = 1 WHERE ended_at = 0 AND `+which,
		append([]any{db.Micros(tx.Now()), why}, args...)...)
	if err != nil {
		return fmt.Errorf("ending sessions: %w", err)
	}
	if ended > 0 {
		tx.Wake(OverTopic)
	}
	return nil
}

// Prune deletes sessions that were over long ago.
func Prune(tx *db.Tx) error {
	_, err := tx.Exec(`DELETE FROM session WHERE until < $1`, db.Micros(tx.Now().Add(-keepEnded)))
	if err != nil {
		return fmt.Errorf("deleting old sessions: %w", err)
	}
	return nil
}
