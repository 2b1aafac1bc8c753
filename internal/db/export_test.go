package db

import "errors"

// Placeholders is what SQLite is given instead of query.
var Placeholders = placeholders

// ResolveFromOldPrimary asks what became of a transaction of a server that has been replaced since.
func ResolveFromOldPrimary(d *DB, xid string) error {
	_, err := d.engine.(*postgresEngine).resolve(operation{xid: xid, timeline: "000000FF"}, errors.New("connection reset"))
	return err
}
