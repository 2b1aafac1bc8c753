package dbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"carekey.dev/carekey/internal/db"
)

// serverVariable names a running server for all test programs (make test sets it); without it each test program starts its own.
const serverVariable = "CAREKEY_TEST_POSTGRES"

// server is kept until this process ends; a server that nobody holds any more is stopped by the garbage collector.
var server = sync.OnceValues(func() (*TestServer, error) {
	if given := os.Getenv(serverVariable); given != "" {
		return &TestServer{URL: given}, nil
	}
	return StartServer()
})

// Server returns the URL of the PostgreSQL server that tests share.
func Server(t testing.TB) string {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	return s.URL
}

// Nodes returns handles of n nodes on one fresh, migrated PostgreSQL database.
func Nodes(t testing.TB, n int, schemas ...fs.FS) []*db.DB {
	t.Helper()
	address := Postgres(t, schemas...)
	nodes := make([]*db.DB, n)
	for i := range nodes {
		nodes[i] = OpenWith(t, db.Config{}, address)
	}
	return nodes
}

// Postgres returns the URL of a fresh, migrated PostgreSQL database. It is dropped after the test.
func Postgres(t testing.TB, schemas ...fs.FS) string {
	t.Helper()
	address := Server(t)
	name := "carekey_test_" + strings.ToLower(rand.Text()[:16])
	if err := create(context.Background(), address, name, schemas); err != nil {
		t.Fatalf("creating a test database: %v", err)
	}
	t.Cleanup(func() {
		err := admin(context.Background(), address, func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
			return err
		})
		if err != nil {
			t.Errorf("dropping a test database: %v", err)
		}
	})
	return within(address, name)
}

// within is the server's URL with another database.
func within(address, database string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.Path = "/" + database
	return u.String()
}

// admin runs fn on a connection to the server's own database.
func admin(ctx context.Context, address string, fn func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	return errors.Join(fn(ctx, conn), conn.Close(ctx))
}

// create copies the database from a template that has been migrated once; test programs that share a server share its templates.
func create(ctx context.Context, address, name string, schemas []fs.FS) error {
	content, err := fingerprint(schemas)
	if err != nil {
		return err
	}
	template := "carekey_template_" + content
	return admin(ctx, address, func(ctx context.Context, conn *pgx.Conn) error {
		if err := ensureTemplate(ctx, conn, address, template, schemas); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template)
		return err
	})
}

// ensureTemplate builds the template under another name and renames it when it is whole, so that one that exists can be used.
func ensureTemplate(ctx context.Context, conn *pgx.Conn, address, template string, schemas []fs.FS) error {
	exists := func() (found bool, err error) {
		err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", template).Scan(&found)
		return found, err
	}
	if found, err := exists(); found || err != nil {
		return err
	}
	const turns = 0x74657374 // "test"
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", turns); err != nil {
		return err
	}
	defer conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", turns)
	if found, err := exists(); found || err != nil {
		return err
	}
	building := template + "_building"
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + building + " WITH (FORCE)", "CREATE DATABASE " + building + " TEMPLATE template0 ENCODING 'UTF8'"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	if err := migratePostgres(ctx, within(address, building), schemas); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	_, err := conn.Exec(ctx, "ALTER DATABASE "+building+" RENAME TO "+template)
	return err
}

func migratePostgres(ctx context.Context, address string, schemas []fs.FS) error {
	d, err := db.Open(ctx, db.Config{URL: address})
	if err != nil {
		return err
	}
	return errors.Join(d.Migrate(ctx, schemas...), d.Close())
}
