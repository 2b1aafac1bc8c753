package db_test

import (
	"fmt"
	"sync"
	"testing"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

// BenchmarkWrite is one small durable write by each of several callers at once. (The test server of PostgreSQL runs with fsync off.)
func BenchmarkWrite(b *testing.B) {
	for name, address := range map[string]func(b *testing.B) string{
		"sqlite":   func(b *testing.B) string { return dbtest.SQLite(b, tables...) },
		"postgres": func(b *testing.B) string { return dbtest.Postgres(b, tables...) },
	} {
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				d := dbtest.OpenWith(b, db.Config{}, address(b))
				before := d.Counters().Commits
				work := make(chan int)
				var all sync.WaitGroup
				for caller := range callers {
					all.Go(func() {
						own := fmt.Sprint(caller)
						for range work {
							if err := d.Write(b.Context(), increment(own)); err != nil {
								b.Error(err)
							}
						}
					})
				}
				for b.Loop() {
					work <- 1
				}
				close(work)
				all.Wait()
				b.ReportMetric(float64(d.Counters().Commits-before)/float64(b.N), "commits/op")
			})
		}
	}
}

// BenchmarkRead is one row by its key.
func BenchmarkRead(b *testing.B) {
	for name, address := range map[string]func(b *testing.B) string{
		"sqlite":   func(b *testing.B) string { return dbtest.SQLite(b, tables...) },
		"postgres": func(b *testing.B) string { return dbtest.Postgres(b, tables...) },
	} {
		b.Run(name, func(b *testing.B) {
			d := dbtest.OpenWith(b, db.Config{}, address(b))
			write(b, d, increment("a"))
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					var n int
					err := d.Read(b.Context(), func(tx *db.Tx) error { return tx.Row(`SELECT n FROM counter WHERE name = $1`, "a").Scan(&n) })
					if err != nil || n != 1 {
						b.Error(n, err)
					}
				}
			})
		})
	}
}
