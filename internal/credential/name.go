package credential

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

// NameLength is how many characters a holder's own name for an authenticator
// may have.
const NameLength = 40

var errName = errors.New("a name has 1 to 40 characters that can be printed")

// ParseName returns what a holder calls an authenticator, in one line with
// single spaces. Characters that nobody sees are refused: a name stands in mails
// and on the screens of a service desk.
func ParseName(s string) (string, error) {
	name := strings.Join(strings.Fields(s), " ")
	n := utf8.RuneCountInString(name)
	if n == 0 || n > NameLength || !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return "", errName
	}
	return name, nil
}

// Called is how a person is told of an authenticator: by its type, and by its
// name if its holder gave it one.
func Called(method care.Method, name string) string {
	if name == "" || name == method.TypeLabel() {
		return method.TypeLabel()
	}
	return fmt.Sprintf("%s “%s”", method.TypeLabel(), name)
}

// Called is how the person is told of the record.
func (r Record) Called() string { return Called(r.Method, r.Name) }

// Rename gives a record another name. Nothing that was proven with it is void.
func Rename(tx *db.Tx, id, name string) error {
	n, err := tx.Exec(`UPDATE authenticator SET name = $1 WHERE id = $2`, name, id)
	return one(n, err, "renaming an authenticator")
}
