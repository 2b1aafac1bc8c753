// Package terms holds the terms of use that a person agrees to by signing in
// (seed 0: "By continuing, you agree to our Terms and Conditions"), every
// version of them, so that what somebody agreed to years ago can be read today.
//
// Texts come in, one file a version, from the program itself or from the
// operator; pages and the name of the version in force leave. The room does not
// know who agreed: a session carries the name of its version.
package terms

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

//go:embed versions/*.txt
var embedded embed.FS

// Version is one version of the terms.
type Version struct {
	// ID is the day from which it is in force, "2026-01-01", at midnight UTC.
	ID   string
	From time.Time
	// Blocks are its text in order.
	Blocks []Block
}

// Day is the first day of the version, "1 January 2026": a day, not a moment,
// so it is the same in every time zone.
func (v Version) Day() string { return v.From.Format("2 January 2006") }

// Block is one piece of text: a heading, a paragraph or a list.
type Block struct {
	Heading, Paragraph string
	Items              []string
}

// Terms are all versions, the newest first. They never change while the
// program runs.
type Terms struct {
	versions []Version
}

// Default returns the terms that come with Carekey.
func Default() *Terms {
	dir, err := fs.Sub(embedded, "versions")
	if err != nil {
		panic(err) // the path is a constant
	}
	t, err := Load(dir)
	if err != nil {
		panic(err) // the files are part of the program
	}
	return t
}

// Load reads the versions in dir: files named after the day from which they are
// in force, 2026-01-01.txt. A line that begins with "# " is a heading, lines
// that begin with "- " are a list, all else are paragraphs.
func Load(dir fs.FS) (*Terms, error) {
	files, err := fs.Glob(dir, "*.txt")
	if err != nil {
		return nil, fmt.Errorf("looking for versions of the terms: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("there are no terms: put a file such as 2026-01-01.txt there")
	}
	t := &Terms{}
	for _, file := range files {
		text, err := fs.ReadFile(dir, file)
		if err != nil {
			return nil, fmt.Errorf("reading the terms %s: %w", file, err)
		}
		id := strings.TrimSuffix(file, ".txt")
		from, err := time.Parse(time.DateOnly, id)
		if err != nil {
			return nil, fmt.Errorf("the terms %s are not named after a day, like 2026-01-01.txt", file)
		}
		blocks := parse(string(text))
		if len(blocks) == 0 {
			return nil, fmt.Errorf("the terms %s are empty", file)
		}
		t.versions = append(t.versions, Version{ID: id, From: from, Blocks: blocks})
	}
	slices.SortFunc(t.versions, func(a, b Version) int { return b.From.Compare(a.From) })
	return t, nil
}

func parse(text string) []Block {
	var blocks []Block
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		item, isItem := strings.CutPrefix(line, "- ")
		heading, isHeading := strings.CutPrefix(line, "# ")
		last := len(blocks) - 1
		switch {
		case line == "":
		case isHeading:
			blocks = append(blocks, Block{Heading: heading})
		case isItem && last >= 0 && blocks[last].Items != nil:
			blocks[last].Items = append(blocks[last].Items, item)
		case isItem:
			blocks = append(blocks, Block{Items: []string{item}})
		default:
			blocks = append(blocks, Block{Paragraph: line})
		}
	}
	return blocks
}

// Current returns the version in force at now. Before the first one is in
// force, that is the first one: nobody signs in under no terms.
func (t *Terms) Current(now time.Time) Version {
	for _, v := range t.versions {
		if !v.From.After(now) {
			return v
		}
	}
	return t.versions[len(t.versions)-1]
}

// ByID returns the version with the name.
func (t *Terms) ByID(id string) (Version, bool) {
	i := slices.IndexFunc(t.versions, func(v Version) bool { return v.ID == id })
	if i < 0 {
		return Version{}, false
	}
	return t.versions[i], true
}

// All returns every version, the newest first.
func (t *Terms) All() []Version { return slices.Clone(t.versions) }
