package connection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/relyingparty/team"
	"carekey.dev/carekey/internal/throttle"
)

// SessionLife is how long a session of a program lives.
const SessionLife = time.Hour

// cookieName is that of CIS2's Connection Manager (wire format). The prefix
// keeps other hosts and plain http from setting it.
const cookieName = "__Host-session"

// claims are what CIS2's programs read from a session: they decode the token
// without verifying it, and look their team up by sub.
type claims struct {
	jwt.Claims
	TeamIDs []string `json:"team_ids"`
}

// tokens makes and verifies sessions: JWTs under a key of this room alone, so
// that none of the tokens that people's sign-ins make can stand for one.
type tokens struct {
	mac    *keys.MAC
	issuer string
}

func newTokens(ring *keys.Ring, issuer string) *tokens {
	return &tokens{ring.MAC("connection manager session"), issuer}
}

var keyLabel = []byte("HS256")

// issue returns a session of a team that its secret has bought.
func (t *tokens) issue(s team.Secret, now time.Time) (string, error) {
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", t.mac.ID())
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: t.mac.Sum(keyLabel)}, options)
	if err != nil {
		return "", fmt.Errorf("signing a session: %w", err)
	}
	token, err := jwt.Signed(signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer: t.issuer, Subject: s.Team, Audience: jwt.Audience{t.issuer}, ID: s.ID,
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(SessionLife)),
		},
		TeamIDs: []string{s.Team},
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a session: %w", err)
	}
	return token, nil
}

// maxToken is longer than any session of ours.
const maxToken = 4 << 10

// open returns the team and the secret of a session that is ours and alive.
// Whether the secret is still good is in the database.
func (t *tokens) open(token string, now time.Time) (team.Secret, error) {
	if len(token) > maxToken {
		return team.Secret{}, errors.New("the session is too long to be one of ours")
	}
	signed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return team.Secret{}, fmt.Errorf("reading a session: %w", err)
	}
	key, ok := t.mac.SumBy(signed.Headers[0].KeyID, keyLabel)
	if !ok {
		return team.Secret{}, errors.New("the session was signed with a key that is not here")
	}
	var c claims
	if err := signed.Claims(key, &c); err != nil {
		return team.Secret{}, fmt.Errorf("verifying a session: %w", err)
	}
	err = c.ValidateWithLeeway(jwt.Expected{Issuer: t.issuer, AnyAudience: jwt.Audience{t.issuer}, Time: now}, 0)
	if err != nil || c.Expiry == nil {
		return team.Secret{}, fmt.Errorf("the session is over or of elsewhere: %w", err)
	}
	return team.Secret{ID: c.ID, Team: c.Subject}, nil
}

// signedIn is the answer to a good secret.
type signedIn struct {
	AccessToken string   `json:"access_token"`
	TeamIDs     []string `json:"team_ids"`
	TokenType   string   `json:"token_type"`
	ExpiresIn   int      `json:"expires_in"`
}

// signIn turns a team's secret into a session.
func (m *Manager) signIn(w http.ResponseWriter, r *http.Request) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "SecretAuth") || secret == "" {
		m.fail(w, r, fault.New(fault.TeamRefused, errors.New("no secret was sent")))
		return
	}
	s, err := m.prove(r.Context(), throttle.Subject{
		Action: "team secret", Address: secret, Network: m.Network(r),
	})
	if err != nil {
		m.fail(w, r, err)
		return
	}
	token, err := m.tokens.issue(s, m.DB.Now())
	if err != nil {
		m.fail(w, r, err)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: token, Path: "/", MaxAge: int(SessionLife.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	m.answer(w, http.StatusOK, signedIn{token, []string{s.Team}, "Bearer", int(SessionLife.Seconds())})
}

// prove looks a secret up, counted before it is looked at (decision 9). What is
// counted is the secret itself, hashed, and the network: a wrong secret that a
// forgotten program repeats makes nobody wait but that program, and guessing
// different ones is limited by network.
func (m *Manager) prove(ctx context.Context, subject throttle.Subject) (team.Secret, error) {
	var s team.Secret
	var counted throttle.Reservation
	var refusal *fault.Error
	wrong := false
	err := m.DB.Write(ctx, func(tx *db.Tx) error {
		var err error
		refusal, wrong = nil, false
		counted, err = m.Throttle.Reserve(tx, subject)
		if errors.As(err, &refusal) {
			return nil // the refusal has to be counted
		}
		if err != nil {
			return err
		}
		s, err = team.SignIn(tx, subject.Address)
		if errors.Is(err, db.ErrNoRows) {
			wrong = true
			return nil // as above
		}
		if err != nil {
			return err
		}
		return m.Throttle.Refund(tx, subject)
	})
	switch {
	case err != nil:
		return s, fmt.Errorf("signing a team in: %w", err)
	case refusal != nil:
		return s, refusal
	case !wrong:
		return s, nil
	}
	if err := m.Throttle.Failed(ctx, m.DB, counted); err != nil {
		return s, err
	}
	return s, fault.New(fault.TeamRefused, errors.New("no team has this secret"))
}

// inTeam is a handler for the team of the address, whose session came along.
func (m *Manager) inTeam(handler func(w http.ResponseWriter, r *http.Request, team string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := m.current(r)
		if err == nil && s.Team != r.PathValue("team") {
			err = fault.New(fault.TeamForbidden, fmt.Errorf("the session is of team %s", s.Team))
		}
		if err == nil {
			err = handler(w, r, s.Team)
		}
		if err != nil {
			m.fail(w, r, err)
		}
	}
}

// current is whose session came along, as a bearer token or as a cookie. A
// secret that was dropped takes its sessions with it.
func (m *Manager) current(r *http.Request) (team.Secret, error) {
	s, err := m.tokens.open(sent(r), m.DB.Now())
	if err != nil {
		return s, fault.New(fault.TeamRefused, err)
	}
	err = m.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		s, err = team.SecretByID(tx, s.ID)
		return err
	})
	if errors.Is(err, db.ErrNoRows) {
		return s, fault.New(fault.TeamRefused, errors.New("the secret of this session was dropped"))
	}
	return s, err
}

func sent(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	return cookie.Value
}
