package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// If the next line does not compile, the assets have not been built yet: run
// `make assets` (or npm ci && go run ./build/assets).
//
//go:embed assets/nhsuk.css assets/nhsuk.js assets/images
var built embed.FS

// own are the style sheet and script that are ours.
//
//go:embed own
var own embed.FS

// assets are the files that pages refer to. All lie below one directory whose
// name is a hash of everything in it, so that a browser may keep them for ever
// and relative references between them hold.
type assets struct {
	root  string // "/assets/3f2a9c…/"
	files map[string]*asset
}

type asset struct {
	kind    string
	content []byte
	// packed is made when somebody first asks for it: starting stays fast.
	packed func() []byte
}

func newAssets(colours Colours) (*assets, error) {
	a := &assets{files: map[string]*asset{}}
	for dir, from := range map[string]fs.FS{"assets": built, "own": own} {
		err := fs.WalkDir(from, dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := fs.ReadFile(from, name)
			if err != nil {
				return err
			}
			a.add(strings.TrimPrefix(name, dir+"/"), content)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading the assets of the pages: %w", err)
		}
	}
	a.add("operator.css", []byte(colours.css()))
	a.root = "/assets/" + a.hash() + "/"
	return a, nil
}

func (a *assets) add(name string, content []byte) {
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // the same on every machine, whatever its mime.types says
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	}
	a.files[name] = &asset{kind: kind, content: content, packed: sync.OnceValue(func() []byte { return pack(content) })}
}

// hash names the directory: a digest over names and contents in a fixed order.
func (a *assets) hash() string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(a.files)) {
		fmt.Fprintf(sum, "%s %d\n", name, len(a.files[name].content))
		sum.Write(a.files[name].content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

func pack(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(content) // a bytes.Buffer does not fail
	z.Close()
	return b.Bytes()
}

// Static serves the assets below /assets/. Compressing them tells an attacker
// nothing: no asset holds a secret.
func (k *Kit) Static() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dir, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/assets/"), "/")
		file, ok := k.assets.files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", file.kind)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Vary", "Accept-Encoding")
		// During an upgrade a page of the old version may ask a new node. It
		// gets what there is, but nobody may keep it under the old name.
		h.Set("Cache-Control", "no-cache")
		if "/assets/"+dir+"/" == k.assets.root {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		content := file.content
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			content = file.packed()
		}
		h.Set("Content-Length", strconv.Itoa(len(content)))
		if r.Method != http.MethodHead {
			w.Write(content)
		}
	})
}

// asset returns the address of an asset, for the templates.
func (k *Kit) asset(name string) (string, error) {
	if _, ok := k.assets.files[name]; !ok {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return k.assets.root + name, nil
}
