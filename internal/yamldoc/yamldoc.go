// Package yamldoc reads a YAML file that a person wrote, strictly, and says of
// each mistake in which file and on which line it is.
//
// The world file and the configuration come in; decoded values leave, or a
// Mistake of one line. It never guesses: an unknown field, a field twice, a
// second document and a value of the wrong kind are all mistakes.
package yamldoc

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Mistake is something in a file that has to be mended there.
type Mistake struct {
	File string
	// Line is 1 for the first line, or 0 if no line is to blame.
	Line   int
	Reason string
}

// Error is one line, in the form in which editors find a place:
// "world.yaml:12: …".
func (m *Mistake) Error() string {
	if m.Line == 0 {
		return m.File + ": " + m.Reason
	}
	return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Reason)
}

// Document is a parsed file.
type Document struct {
	name string
	file *ast.File
}

// Parse reads the text of the file called name.
func Parse(name string, text []byte) (doc *Document, err error) {
	d := &Document{name: name}
	defer d.survive(&err)
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, d.explain(err)
	}
	d.file = file
	if len(file.Docs) > 1 {
		second := file.Docs[1]
		line := 0
		if second.Start != nil {
			line = second.Start.Position.Line
		}
		return nil, &Mistake{name, line, "a second document begins here: keep everything in one"}
	}
	return d, nil
}

// Decode stores the document in into, a pointer to a structure. An empty file
// leaves it as it is.
func (d *Document) Decode(into any) (err error) {
	defer d.survive(&err)
	if len(d.file.Docs) == 0 || d.file.Docs[0].Body == nil {
		return nil
	}
	if err := yaml.NodeToValue(d.file.Docs[0].Body, into, yaml.Strict()); err != nil {
		return d.explain(err)
	}
	return nil
}

// Mistake returns the mistake at a path of field names and list indices
// (counted from 0). If there is nothing at the path, because a field is
// missing, the line is that of what it is missing from.
func (d *Document) Mistake(path []any, format string, args ...any) *Mistake {
	return &Mistake{d.name, d.line(path), fmt.Sprintf(format, args...)}
}

func (d *Document) line(path []any) int {
	for ; len(path) > 0; path = path[:len(path)-1] {
		builder := (&yaml.PathBuilder{}).Root()
		for _, step := range path {
			switch step := step.(type) {
			case string:
				builder = builder.Child(step)
			case int:
				builder = builder.Index(uint(step))
			}
		}
		node, err := builder.Build().FilterFile(d.file)
		if err == nil && node != nil {
			return node.GetToken().Position.Line
		}
	}
	return 0
}

// survive turns a panic of the YAML library into a mistake. Fuzzing finds files
// that it panics on: a lone tag where a list belongs, for one.
func (d *Document) survive(err *error) {
	if reason := recover(); reason != nil {
		*err = &Mistake{d.name, 0, fmt.Sprintf("this YAML cannot be read (%v)", reason)}
	}
}

// explain puts an error of the YAML library into words for the person who
// wrote the file.
func (d *Document) explain(err error) error {
	var located yaml.Error
	if !errors.As(err, &located) {
		return &Mistake{d.name, 0, err.Error()}
	}
	m := &Mistake{File: d.name, Reason: located.GetMessage()}
	if token := located.GetToken(); token != nil {
		m.Line = token.Position.Line
	}
	if kind, ok := errors.AsType[*yaml.TypeError](err); ok {
		m.Reason = wanted(kind.DstType) + " is wanted here"
	}
	return m
}

func wanted(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a group of fields"
	}
	return "text"
}
