package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/db"
)

// warnEach is how often the log says that the FIDO metadata is out of date.
const warnEach = 24 * time.Hour

// lookAtMetadata warns when the FIDO metadata is out of date, and tells the
// holders of models about which a report has come into force. A failure is no
// reason to stop cleaning: sign-ins are judged without it.
func (s *site) lookAtMetadata(ctx context.Context) {
	now := s.DB.Now()
	var standing metadata.Standing
	err := s.DB.Read(ctx, func(tx *db.Tx) (err error) {
		standing, err = metadata.Stand(tx)
		return err
	})
	if err != nil {
		s.Log.Error("the age of the FIDO metadata could not be read", "err", err)
		return
	}
	if late := standing.Overdue(now); late > 0 && now.Sub(s.warned) >= warnEach {
		s.warned = now
		s.Log.Warn("the FIDO metadata is out of date: models that were found to be unsafe since are not refused; import a newer file with carekey fido-metadata import",
			"no", standing.No, "next_update", standing.NextUpdate.Format(time.DateOnly), "late", late.Round(time.Hour))
	}
	told, err := s.Metadata.TellHolders(ctx)
	if err != nil {
		s.Log.Error("holders of refused models of keys could not be told", "err", err)
	}
	if told > 0 {
		s.Log.Info("holders of refused models of keys are told by mail", "holders", told)
	}
}

// newFreshness says how old the FIDO metadata is.
func newFreshness(d *db.DB) asked {
	number := prometheus.NewDesc("carekey_fido_metadata_number", "Number of the FIDO metadata file, 0 if none was imported.", nil, nil)
	next := prometheus.NewDesc("carekey_fido_metadata_next_update_timestamp_seconds", "Day by which the next FIDO metadata file comes: this one is out of date a day later.", nil, nil)
	imported := prometheus.NewDesc("carekey_fido_metadata_imported_timestamp_seconds", "When the FIDO metadata was imported.", nil, nil)
	return asked{d, []*prometheus.Desc{number, next, imported}, func(tx *db.Tx) (func(measure), error) {
		s, err := metadata.Stand(tx)
		return func(is measure) {
			is(number, float64(s.No))
			if s.No > 0 {
				is(next, float64(s.NextUpdate.Unix()))
				is(imported, float64(s.ImportedAt.Unix()))
			}
		}, err
	}}
}
