package server

import (
	"io/fs"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/dev"
	"carekey.dev/carekey/internal/lease"
	"carekey.dev/carekey/internal/notice"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/relyingparty/team"
	"carekey.dev/carekey/internal/server/faultlog"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
)

// Schemas returns the migrations of every room that owns tables. Dev's inbox
// is among them everywhere: an empty table costs nothing, and a database is
// the same in every mode.
func Schemas() []fs.FS {
	own := []fs.FS{
		audit.Schema, lease.Schema, outbox.Schema, throttle.Schema,
		person.Schema, organisation.Schema, access.Schema, relyingparty.Schema, team.Schema, notice.Schema,
		credential.Schema, app.Schema, mailcode.Schema, link.Schema, recovery.Schema, fido.Schema, metadata.Schema, session.Schema,
		faultlog.Schema, dev.Schema,
	}
	return append(own, oidc.Schemas()...)
}
