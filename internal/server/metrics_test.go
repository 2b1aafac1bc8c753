package server

import (
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/server/config"
	"carekey.dev/carekey/internal/server/faultlog"
)

// Whoever watches sees which relying party has not been told of sign-outs, and
// no metric names a person.
func TestMetricsCountSignOutsThatWereNotTold(t *testing.T) {
	dbtest.Each(t, Schemas(), func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i, state := range []string{"dead", "dead", "sent"} {
				id := string(rune('a' + i))
				_, err := tx.Exec(`INSERT INTO outbox (id, kind, state, created_at, expires_at, next_at, attempts, ended_at, last_error)
					VALUES ($1, 'logout', $2, 0, 0, 0, 1, 0, 'the relying party answered 400')`, id, state)
				if err != nil {
					return err
				}
				_, err = tx.Exec(`INSERT INTO logout_delivery (id, message, client_id, sid, uid, why, made_at)
					VALUES ($1, $1, '555000000001.apps.national', 's', '555000100101', 'signed out', 0)`, id)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		answer := httptest.NewRecorder()
		newMetrics(d, faultlog.New(d, nil)).handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
		text := answer.Body.String()
		if !strings.Contains(text, `carekey_logout_deliveries{client="555000000001.apps.national",state="given_up"} 2`) {
			t.Errorf("the metrics are\n%s", text)
		}
		if strings.Contains(text, "555000100101") {
			t.Error("a metric names a person")
		}
	})
}

// Whoever watches sees how old the FIDO metadata is.
func TestMetricsSayHowFreshTheFIDOMetadataIs(t *testing.T) {
	dbtest.Each(t, Schemas(), func(t *testing.T, d *db.DB) {
		says := func(want string) {
			t.Helper()
			answer := httptest.NewRecorder()
			newMetrics(d, faultlog.New(d, nil)).handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
			if !strings.Contains(answer.Body.String(), want) {
				t.Errorf("%q is missing in\n%s", want, answer.Body)
			}
		}
		says("carekey_fido_metadata_number 0\n")
		next := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
		if _, err := metadata.Import(t.Context(), d, metadata.Blob{No: 7, NextUpdate: next}, "operator"); err != nil {
			t.Fatal(err)
		}
		says("carekey_fido_metadata_number 7\n")
		says("carekey_fido_metadata_next_update_timestamp_seconds 1.7750016e+09\n")
	})
}

// Whoever watches sees a schedule of signing keys that fails: the key that
// signs is older than it should be.
func TestMetricsSayHowLongTheSigningKeysHaveSigned(t *testing.T) {
	h := furnished(t, config.Demo{Listen: "localhost:8080"}, nothing)
	s, err := newSite(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	s.metrics.handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	since := s.provider.KeysSince()
	for _, algorithm := range signing.Algorithms() {
		want := fmt.Sprintf("carekey_signing_key_since_timestamp_seconds{algorithm=%q} %s\n", algorithm,
			strconv.FormatFloat(float64(since[algorithm].Unix()), 'g', -1, 64))
		if since[algorithm].IsZero() || !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%q is missing in\n%s", want, answer.Body)
		}
	}
}
