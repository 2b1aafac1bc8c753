package page

import (
	"errors"
	"fmt"
	"html/template"
	"strings"
	"time"
)

const insetOpen = `<div class="nhsuk-inset-text"><span class="nhsuk-u-visually-hidden">Information: </span>`

// form opens a form. Every form that posts carries the CSRF token and, on a
// journey, the sealed journey.
func (k *Kit) form(s *scene, action string, list ...any) (template.HTML, error) {
	p := optionsOf("form", list)
	data := struct{ ID, Method, Action, CSRF, Journey string }{
		ID: p.text("id"), Method: p.oneOf("method", "get", "post"), Action: action, Journey: p.text("j"),
	}
	if err := p.done(); err != nil {
		return "", err
	}
	if s == nil {
		return "", errors.New("form: needs the page ($)")
	}
	if data.Method == "" {
		data.Method = "post"
	}
	if data.Journey == "" {
		data.Journey = s.Journey
	}
	if data.Method == "post" {
		data.CSRF = s.CSRF
	}
	return k.part("form", data)
}

func (k *Kit) hidden(name, value string) (template.HTML, error) {
	return k.part("hidden", map[string]string{"Name": name, "Value": value})
}

type buttonData struct {
	Text, Class, Name, Value, Href, Hidden string
	Form                                   template.HTML
}

func buttonOf(component, text string, list []any) (buttonData, error) {
	p := optionsOf(component, list)
	b := buttonData{Text: text, Name: p.text("name"), Value: p.text("value"), Hidden: p.text("hidden"), Class: "nhsuk-button"}
	if variant := p.oneOf("variant", "secondary", "warning", "reverse", "login"); variant != "" {
		b.Class += " nhsuk-button--" + variant
	}
	if p.flag("small") {
		b.Class += " nhsuk-button--small"
	}
	return b, p.done()
}

func (k *Kit) button(text string, list ...any) (template.HTML, error) {
	b, err := buttonOf("button", text, list)
	if err != nil {
		return "", err
	}
	return k.part("button", b)
}

func (k *Kit) linkButton(text, href string, list ...any) (template.HTML, error) {
	b, err := buttonOf("linkbutton", text, list)
	if err != nil {
		return "", err
	}
	b.Href = href
	return k.part("linkbutton", b)
}

// postButton is a form of one button, for what changes something and so must
// never be a link.
func (k *Kit) postButton(s *scene, action, text string, list ...any) (template.HTML, error) {
	b, err := buttonOf("postbutton", text, list)
	if err != nil {
		return "", err
	}
	if b.Form, err = k.form(s, action); err != nil {
		return "", err
	}
	return k.part("postbutton", b)
}

func (k *Kit) link(text, href string) (template.HTML, error) {
	return k.part("link", Link{text, href})
}

// newTab says that it opens a new window, as seed 0 does.
func (k *Kit) newTab(text, href string) (template.HTML, error) {
	return k.part("newtab", Link{text, href})
}

func (k *Kit) actionLink(text, href string) (template.HTML, error) {
	return k.part("actionlink", Link{text, href})
}

func (k *Kit) warning(heading string) (template.HTML, error) { return k.part("warning", heading) }

func (k *Kit) details(heading string, list ...any) (template.HTML, error) {
	p := optionsOf("details", list)
	data := struct {
		Heading string
		Open    bool
	}{heading, p.flag("open")}
	if err := p.done(); err != nil {
		return "", err
	}
	return k.part("details", data)
}

// Row is one line of a summary list.
type Row struct {
	Key string
	// Value is a string, a []string (one line each) or template.HTML.
	Value   any
	Actions []Action
}

// Lines returns the lines of the value.
func (r Row) Lines() []any {
	if texts, ok := r.Value.([]string); ok {
		lines := make([]any, len(texts))
		for i, text := range texts {
			lines[i] = text
		}
		return lines
	}
	return []any{r.Value}
}

// Action is a link beside a row: "Change", and for screen readers what.
type Action struct{ Text, Hidden, Href string }

func rows(list ...Row) []Row { return list }

func row(key string, value any, list ...any) (Row, error) {
	p := optionsOf("row", list)
	r := Row{Key: key, Value: value}
	if href := p.text("change"); href != "" {
		a := Action{Text: p.text("text"), Hidden: strings.ToLower(key), Href: href}
		if a.Text == "" {
			a.Text = "Change"
		}
		r.Actions = append(r.Actions, a)
	}
	return r, p.done()
}

func (k *Kit) summary(list []Row) (template.HTML, error) { return k.part("summary", list) }

// Task is one line of a task list.
type Task struct {
	Title, Hint string
	// Href is where the task is done, or "" if it cannot be started.
	Href string
	// Status is the word beside it, in a tag of Colour if that is given.
	Status, Colour string
}

func (k *Kit) tasks(list []Task) (template.HTML, error) { return k.part("tasks", list) }

func columns(list ...string) []string { return list }

// table is a table that turns into a list of cards on a narrow screen. A cell
// is a string or template.HTML.
func (k *Kit) table(caption string, columns []string, cells [][]any) (template.HTML, error) {
	for i, line := range cells {
		if len(line) != len(columns) {
			return "", fmt.Errorf("table %q: line %d has %d cells for %d columns", caption, i+1, len(line), len(columns))
		}
	}
	return k.part("table", struct {
		Caption string
		Columns []string
		Rows    [][]any
	}{caption, columns, cells})
}

func (k *Kit) tag(text string, list ...any) (template.HTML, error) {
	p := optionsOf("tag", list)
	colour := p.oneOf("colour", "white", "grey", "green", "aqua-green", "blue", "purple", "pink", "red", "orange", "yellow")
	if err := p.done(); err != nil {
		return "", err
	}
	return k.part("tag", struct{ Text, Colour string }{text, colour})
}

// banner tells the outcome of what was just done ("Success", green), or what
// is important on this page.
func (k *Kit) banner(title, heading string, list ...any) (template.HTML, error) {
	p := optionsOf("banner", list)
	data := struct {
		Title, Heading string
		Text           any
		Success        bool
	}{Title: title, Heading: heading, Success: title == "Success"}
	data.Text = p.values["text"]
	delete(p.values, "text")
	if err := p.done(); err != nil {
		return "", err
	}
	return k.part("banner", data)
}

// panel is the confirmation at the end of a journey. Its title is the page's
// h1.
func (k *Kit) panel(title, text string) (template.HTML, error) {
	return k.part("panel", struct{ Title, Text string }{title, text})
}

// Tile is one card of a home page.
type Tile struct {
	Title, Href, Text string
	// Reason says why the tile leads nowhere yet; it then is no link.
	Reason string
}

func (k *Kit) tiles(list []Tile) (template.HTML, error) { return k.part("tiles", list) }

func (k *Kit) icon(name string) (template.HTML, error) { return k.part("icon-"+name, nil) }

// date, clock and datetime write a time as seed 0 does: "22 March 2026",
// "9:00am". They are in the readers' time zone.
func (k *Kit) date(t time.Time) string { return t.In(k.options.Zone).Format("2 January 2006") }

// DateTime is what datetime writes, for words that a handler makes.
func (k *Kit) DateTime(t time.Time) string { return k.datetime(t) }

func (k *Kit) clock(t time.Time) string { return t.In(k.options.Zone).Format("3:04pm") }

func (k *Kit) datetime(t time.Time) string { return k.date(t) + " at " + k.clock(t) }
