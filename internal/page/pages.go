package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
)

//go:embed templates
var templates embed.FS

// Pages are the pages of one room, parsed once.
type Pages struct {
	kit   *Kit
	pages map[string]*template.Template
}

// parse reads the kit's own templates.
func (k *Kit) parse() error {
	parts, err := template.New("parts").Funcs(k.functions()).ParseFS(templates, "templates/parts/*.html")
	if err != nil {
		return fmt.Errorf("parsing the components of the pages: %w", err)
	}
	layout, err := template.New("layout").Funcs(k.functions()).ParseFS(templates, "templates/layout.html")
	if err != nil {
		return fmt.Errorf("parsing the layout of the pages: %w", err)
	}
	k.parts, k.layout = parts, layout
	own, err := k.load(templates, "templates/pages")
	if err != nil {
		return err
	}
	k.fault = own
	return nil
}

// Pages parses the templates of a room: fsys holds templates/*.html, a file
// for each page, and templates/_*.html, which every page of the room shares.
// Templates are part of the program, so one that does not parse panics, at
// the start and not before a person.
func (k *Kit) Pages(fsys fs.FS) *Pages {
	p, err := k.load(fsys, "templates")
	if err != nil {
		panic(err)
	}
	return p
}

func (k *Kit) load(fsys fs.FS, dir string) (*Pages, error) {
	files, err := fs.Glob(fsys, dir+"/*.html")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("reading page templates: no %s/*.html here (%w)", dir, err)
	}
	shared, err := fs.Glob(fsys, dir+"/_*.html")
	if err != nil {
		return nil, fmt.Errorf("reading page templates: %w", err)
	}
	p := &Pages{kit: k, pages: map[string]*template.Template{}}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if strings.HasPrefix(name, "_") {
			continue
		}
		t, err := template.New(name).Funcs(k.functions()).ParseFS(fsys, append(shared, file)...)
		if err != nil {
			return nil, fmt.Errorf("parsing page template %s: %w", file, err)
		}
		if t.Lookup("content") == nil {
			return nil, fmt.Errorf("page template %s does not define %q", file, "content")
		}
		p.pages[name] = t
	}
	return p, nil
}

// part renders a component.
func (k *Kit) part(name string, data any) (template.HTML, error) {
	var b bytes.Buffer
	if err := k.parts.ExecuteTemplate(&b, name, data); err != nil {
		return "", err
	}
	// Escaped by the template that made it.
	return template.HTML(bytes.TrimSpace(b.Bytes())), nil
}

// functions are what a template can call. The components are described in the
// package comment.
func (k *Kit) functions() template.FuncMap {
	return template.FuncMap{
		"asset": k.asset, "icon": k.icon,
		"date": k.date, "clock": k.clock, "datetime": k.datetime,

		"form": k.form, "endform": func() template.HTML { return "</form>" }, "hidden": k.hidden,
		"input": k.input, "password": k.password, "code": k.code, "search": k.search, "select": k.selection,
		"fido": k.fidoForm, "fidobutton": k.fidoButton,
		"radios": k.radios, "checkboxes": k.checkboxes, "checkbox": k.checkbox,
		"choices": choices, "choice": choice,
		"button": k.button, "linkbutton": k.linkButton, "postbutton": k.postButton,

		"link": k.link, "newtab": k.newTab, "actionlink": k.actionLink,
		"inset":      func() template.HTML { return insetOpen },
		"endinset":   func() template.HTML { return "</div>" },
		"warning":    k.warning,
		"endwarning": func() template.HTML { return "</div></div>" },
		"details":    k.details,
		"enddetails": func() template.HTML { return "</div></details>" },
		"summary":    k.summary, "rows": rows, "row": row,
		"tasks": k.tasks, "table": k.table, "columns": columns,
		"timeout": k.timeout,
		"tag":     k.tag, "banner": k.banner, "panel": k.panel, "tiles": k.tiles,
	}
}
