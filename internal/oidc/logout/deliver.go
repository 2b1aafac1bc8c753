package logout

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fetch"
	"carekey.dev/carekey/internal/outbox"
)

// delivery is one relying party to tell of one session.
type delivery struct{ clientID, sid, uid string }

// deliverNamed names the relying party in the log when it could not be told: the
// outbox, which tells the rest, knows nothing of relying parties.
func (l *Logout) deliverNamed(ctx context.Context, payload []byte) error {
	err := l.deliver(ctx, payload)
	if err == nil {
		return nil
	}
	reason := "no answer"
	var failure *outbox.Failure
	if errors.As(err, &failure) {
		reason = failure.Text // anything else may hold an address
	}
	// The time for the call may be over; the log line is needed all the more.
	if d, unknown := l.read(context.WithoutCancel(ctx), string(payload)); unknown == nil {
		l.Log.Warn("a relying party was not told of a sign-out", "client", d.clientID, "reason", reason)
	}
	return err
}

// deliver tells one relying party: the outbox calls it with the name of the
// delivery, again and again until it is done or given up.
func (l *Logout) deliver(ctx context.Context, payload []byte) error {
	d, err := l.read(ctx, string(payload))
	if errors.Is(err, db.ErrNoRows) {
		return outbox.Permanent("nothing is known of this delivery any more", err)
	}
	if err != nil {
		return err
	}
	rp, err := l.Directory.ByID(ctx, d.clientID)
	if errors.Is(err, db.ErrNoRows) {
		return outbox.Permanent("the relying party is not registered any more", err)
	}
	if err != nil {
		return err
	}
	if rp.BackchannelLogoutURI == "" {
		return outbox.Permanent("the relying party has no backchannel_logout_uri any more", nil)
	}
	if !l.silent.may(rp.ClientID) {
		return outbox.Temporary("not tried: the relying party did not answer others a moment ago", nil)
	}
	signed, err := l.Sign(rp, typeFor(rp), l.token(d, l.DB.Now()))
	if err != nil {
		return outbox.Temporary("the logout token could not be signed", err)
	}
	answer, err := l.post(ctx, rp.BackchannelLogoutURI, signed)
	if err != nil {
		l.silent.began(rp.ClientID)
		return unreachable(err)
	}
	defer answer.Body.Close()
	l.silent.ended(rp.ClientID)
	return judge(answer)
}

func (l *Logout) read(ctx context.Context, id string) (delivery, error) {
	var d delivery
	err := l.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.Row(`SELECT client_id, sid, uid FROM logout_delivery WHERE id = $1`, id).Scan(&d.clientID, &d.sid, &d.uid)
	})
	if err != nil {
		return d, fmt.Errorf("reading whom to tell: %w", err)
	}
	return d, nil
}

// post sends the token (OpenID Connect Back-Channel Logout section 2.5).
func (l *Logout) post(ctx context.Context, to, token string) (*http.Response, error) {
	form := url.Values{"logout_token": {token}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	return l.client.Do(r)
}

// judge says what an answer means (OpenID Connect Back-Channel Logout section
// 2.8): any success is one, since frameworks turn an empty 200 into 204; 400 is
// the relying party's last word (wire rule 16); all else may pass.
func judge(answer *http.Response) error {
	text := fmt.Sprintf("the relying party answered %d", answer.StatusCode)
	switch status := answer.StatusCode; {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusBadRequest:
		if code := errorCode(answer.Body); code != "" {
			text += ", " + code
		}
		return outbox.Permanent(text, nil)
	case status >= 300 && status < 400:
		text += ": a redirect is not followed"
	}
	return outbox.Temporary(text, nil)
}

// longestError is how much of an error's body is read, in bytes.
const longestError = 4 << 10

// codeForm is what an error code looks like (RFC 6749 section 5.2). Nothing
// else of what a relying party says is kept.
var codeForm = regexp.MustCompile(`^[a-z_]{1,40}$`)

func errorCode(body io.Reader) string {
	var said struct {
		Code string `json:"error"`
	}
	err := json.NewDecoder(io.LimitReader(body, longestError)).Decode(&said)
	if err != nil || !codeForm.MatchString(said.Code) {
		return ""
	}
	return said.Code
}

// unreachable says why nobody answered, where the outbox cannot tell.
func unreachable(err error) error {
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, fetch.ErrScheme):
		return outbox.Temporary("its address is not https", err)
	case errors.Is(err, fetch.ErrAddress):
		return outbox.Temporary("its address may not be called: outgoing.allow_networks names those that are not public", err)
	case errors.As(err, &untrusted):
		return outbox.Temporary("its certificate is not trusted", err)
	}
	return err
}
