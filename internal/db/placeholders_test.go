package db_test

import (
	"strings"
	"testing"

	"carekey.dev/carekey/internal/db"
)

func TestPlaceholdersAreRewrittenOutsideTextOnly(t *testing.T) {
	for query, want := range map[string]string{
		`SELECT 1`:                      `SELECT 1`,
		`$1`:                            `?1`,
		`a = $1 AND b = $12`:            `a = ?1 AND b = ?12`,
		`'$1' || $1`:                    `'$1' || ?1`,
		`'it''s $1' || $2`:              `'it''s $1' || ?2`,
		`"$1" = $1`:                     `"$1" = ?1`,
		"a -- $1\n = $1":                "a -- $1\n = ?1",
		`a /* $1 ' */ = $1`:             `a /* $1 ' */ = ?1`,
		`'unfinished $1`:                `'unfinished $1`,
		`-- $1`:                         `-- $1`,
		`$ $a $0 a$`:                    `$ $a $0 a$`,
		`json -> '$.a' ->> $1 - 1 / $2`: `json -> '$.a' ->> ?1 - 1 / ?2`,
	} {
		if got := db.Placeholders(query); got != want {
			t.Errorf("%s became %s, want %s", query, got, want)
		}
	}
}

func FuzzPlaceholdersChangeNothingElse(f *testing.F) {
	for _, seed := range []string{"SELECT $1", "'$1", "--$1", "/*", "$$1", "é$1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got := db.Placeholders(query)
		if len(got) != len(query) || strings.ReplaceAll(got, "?", "$") != strings.ReplaceAll(query, "?", "$") {
			t.Errorf("%q became %q", query, got)
		}
	})
}
