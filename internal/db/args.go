package db

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrText: text that PostgreSQL could not hold (a NUL, or not UTF-8) is refused on both engines.
var ErrText = errors.New("text with a NUL or that is not UTF-8 cannot be stored")

// values turns a statement's arguments into the three column types that both engines know, so that a room that was only tried on one runs on the other.
func values(args []any) ([]any, error) {
	if len(args) == 0 {
		return nil, nil
	}
	out := make([]any, len(args))
	for i, arg := range args {
		v, err := value(arg)
		if err != nil {
			return nil, fmt.Errorf("argument $%d: %w", i+1, err)
		}
		out[i] = v
	}
	return out, nil
}

func value(arg any) (any, error) {
	v, err := driver.DefaultParameterConverter.ConvertValue(arg)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil, int64:
		return v, nil
	case []byte:
		if v == nil {
			return nil, nil
		}
		return v, nil
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case string:
		if strings.IndexByte(v, 0) >= 0 || !utf8.ValidString(v) {
			return nil, ErrText
		}
		return v, nil
	default:
		return nil, fmt.Errorf("%T is no column type: use TEXT, BIGINT or BYTEA (db.Micros for times)", arg)
	}
}
