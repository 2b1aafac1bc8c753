package db

import "errors"

// Placeholders is what SQLite is given instead of query.
var Placeholders = placeholders

// Measured reports whether d has measured the database's clock.
func Measured(d *DB) bool { known, _ := d.clock.measured(); return known }

// ResolveFromOldPrimary asks what became of a transaction of a server that has been replaced since.
func ResolveFromOldPrimary(d *DB, xid string) error {
	_, err := d.engine.(*postgresEngine).resolve(operation{xid: xid, timeline: "000000FF"}, errors.New("connection reset"))
	return err
}
