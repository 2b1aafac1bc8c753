// Command assets makes the files that internal/page embeds out of the npm
// package nhsuk-frontend. It runs from the project's root after npm ci:
//
//	go run ./build/assets
//
// What it takes away is the one thing that a page of Carekey may not do: ask a
// third party for something. nhsuk-frontend loads its fonts from
// assets.nhs.uk; pages use the fonts of the person's own system instead.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

const (
	source = "node_modules/nhsuk-frontend/dist/nhsuk"
	target = "internal/page/assets"
)

// systemFonts is a font stack that every system can fill by itself.
const systemFonts = `font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",Arial,sans-serif`

var (
	fontFace  = regexp.MustCompile(`@font-face\{[^}]*\}`)
	brandFont = regexp.MustCompile(`font-family:Frutiger W01,arial,sans-serif`)
	sourceMap = regexp.MustCompile(`(?m)/[/*]# sourceMappingURL=.*$`)
	imageURL  = regexp.MustCompile(`url\(/assets/(images/[a-z0-9-]+\.svg)\)`)
	elsewhere = regexp.MustCompile(`(https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s"')]*`)
)

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "building the assets of the pages:", err)
		os.Exit(1)
	}
}

func build() error {
	css, err := os.ReadFile(filepath.Join(source, "nhsuk-frontend.min.css"))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is missing: run npm ci first", source)
	}
	if err != nil {
		return err
	}
	js, err := os.ReadFile(filepath.Join(source, "nhsuk-frontend.min.js"))
	if err != nil {
		return err
	}
	if !fontFace.Match(css) || !brandFont.Match(css) {
		return errors.New("the style sheet no longer holds the fonts that we take out: look at the new version by hand")
	}
	images := imageURL.FindAllSubmatch(css, -1)
	css = fontFace.ReplaceAll(css, nil)
	css = brandFont.ReplaceAll(css, []byte(systemFonts))
	css = imageURL.ReplaceAll(css, []byte(`url($1)`)) // relative: the directory's name is a hash
	css = sourceMap.ReplaceAll(css, nil)
	js = sourceMap.ReplaceAll(js, nil)
	if found := elsewhere.Find(css); found != nil {
		return fmt.Errorf("the style sheet still asks a third party: %s", found)
	}
	if err := write("nhsuk.css", css); err != nil {
		return err
	}
	if err := write("nhsuk.js", js); err != nil {
		return err
	}
	for _, image := range images {
		name := string(image[1])
		content, err := os.ReadFile(filepath.Join(source, "assets", name))
		if err != nil {
			return err
		}
		if err := write(name, content); err != nil {
			return err
		}
	}
	return nil
}

// write puts content at its place, unless it is there already: an unchanged
// file keeps its time, so that the Go build cache stays warm.
func write(name string, content []byte) error {
	path := filepath.Join(target, name)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}
