package page

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
)

// field is what the templates of form fields see.
type field struct {
	ID, Name, Label, Value, Type     string
	Autocomplete, Inputmode, Error   string
	Size, Class                      string
	Hint                             any
	Heading, Disabled, Readonly      bool
	Small, Inline, HideLegend, Plain bool
	Choices                          []Choice
}

// Choice is one radio, checkbox or option.
type Choice struct {
	Value, Label, Hint string
	// Reason says why this cannot be chosen, and disables it.
	Reason string
	// Needs is what the browser must be able to do for it: "webauthn",
	// "platform" or "conditional". Where it cannot, fido.js disables the choice
	// and says Unable. Such a choice has a Hint.
	Needs, Unable string
	// Tag is a word beside the label: "Registered".
	Tag string
	// Checked is whether it is chosen before the person did anything. A value
	// that was sent wins.
	Checked bool

	// ID is set by the component: the first that can be chosen has the name
	// of the field, so that the error summary leads there.
	ID string
}

// DescribedBy lists the ids of hint and error.
func (f field) DescribedBy() string {
	var ids []string
	if f.Hint != nil {
		ids = append(ids, f.ID+"-hint")
	}
	if f.Error != "" {
		ids = append(ids, f.ID+"-error")
	}
	return strings.Join(ids, " ")
}

// LabelClass and LegendClass carry the size: large where the label is the
// page's heading.
func (f field) LabelClass() string { return sized("nhsuk-label", f.Size, f.Heading) }

// LegendClass is the class of a fieldset's legend.
func (f field) LegendClass() string {
	if f.HideLegend {
		return "nhsuk-fieldset__legend nhsuk-u-visually-hidden"
	}
	return sized("nhsuk-fieldset__legend", f.Size, f.Heading)
}

func sized(class, size string, heading bool) string {
	if size == "" && heading {
		size = "l"
	}
	if size == "" {
		return class
	}
	return class + " " + class + "--" + size
}

// start reads what all fields have in common. hint may be text or
// template.HTML.
func (s *scene) start(component, name, label string, list []any) (field, *pairs) {
	p := optionsOf(component, list)
	if s == nil || name == "" || label == "" {
		p.err = fmt.Errorf("%s: needs the page ($), a name and a label", component)
		return field{}, p
	}
	f := field{ID: name, Name: name, Label: label, Heading: p.flag("heading"), Size: p.oneOf("size", "s", "m", "l", "xl")}
	if hint, ok := p.values["hint"]; ok && hint != "" {
		f.Hint = hint
	}
	delete(p.values, "hint")
	f.Error = s.errorOf(name)
	f.Value = s.Values.Get(name)
	if _, ok := s.Values[name]; !ok {
		f.Value = p.text("value")
	}
	delete(p.values, "value")
	return f, p
}

func (k *Kit) field(part string, f field, p *pairs) (template.HTML, error) {
	if err := p.done(); err != nil {
		return "", err
	}
	return k.part(part, f)
}

func widthClass(p *pairs) string {
	width := p.number("width")
	if width == 0 {
		return ""
	}
	if !slices.Contains([]int{2, 3, 4, 5, 10, 20, 30}, width) {
		p.err = fmt.Errorf("%s: width must be 2, 3, 4, 5, 10, 20 or 30", p.component)
	}
	return " nhsuk-input--width-" + strconv.Itoa(width)
}

func (k *Kit) input(s *scene, name, label string, list ...any) (template.HTML, error) {
	f, p := s.start("input", name, label, list)
	f.Type = p.oneOf("type", "text", "email", "tel")
	if f.Type == "" {
		f.Type = "text"
	}
	f.Autocomplete, f.Inputmode = p.text("autocomplete"), p.text("inputmode")
	f.Disabled, f.Readonly = p.flag("disabled"), p.flag("readonly")
	f.Class = widthClass(p)
	return k.field("input", f, p)
}

// password never shows what was sent, and lets password managers, paste and a
// look at it work (N14).
func (k *Kit) password(s *scene, name, label string, list ...any) (template.HTML, error) {
	f, p := s.start("password", name, label, list)
	f.Value = ""
	f.Autocomplete = p.oneOf("autocomplete", "current-password", "new-password")
	if f.Autocomplete == "" {
		f.Autocomplete = "current-password"
	}
	return k.field("password", f, p)
}

// code is one text box: a reader that splits it into boxes breaks paste and
// screen readers. It never shows what was sent, as a code works once.
func (k *Kit) code(s *scene, name, label string, list ...any) (template.HTML, error) {
	f, p := s.start("code", name, label, list)
	f.Value = ""
	digits := p.number("digits")
	f.Class = " nhsuk-input--code nhsuk-input--width-10"
	if digits > 0 && digits <= 5 {
		f.Class = " nhsuk-input--code nhsuk-input--width-5"
	}
	f.Type, f.Inputmode, f.Autocomplete = "text", "numeric", "one-time-code"
	return k.field("input", f, p)
}

func (k *Kit) search(s *scene, name, label string, list ...any) (template.HTML, error) {
	f, p := s.start("search", name, label, list)
	return k.field("search", f, p)
}

func (k *Kit) selection(s *scene, name, label string, list []Choice, more ...any) (template.HTML, error) {
	f, p := s.start("select", name, label, more)
	f.Autocomplete = p.text("autocomplete")
	s.choose(&f, list)
	return k.field("select", f, p)
}

func (k *Kit) radios(s *scene, name, legend string, list []Choice, more ...any) (template.HTML, error) {
	return k.group("radio", s, name, legend, list, more)
}

func (k *Kit) checkboxes(s *scene, name, legend string, list []Choice, more ...any) (template.HTML, error) {
	return k.group("checkbox", s, name, legend, list, more)
}

func (k *Kit) group(kind string, s *scene, name, legend string, list []Choice, more []any) (template.HTML, error) {
	f, p := s.start(kind, name, legend, more)
	f.Type = kind
	f.Small, f.Inline, f.HideLegend = p.flag("small"), p.flag("inline"), p.flag("hideLegend")
	s.choose(&f, list)
	return k.field("group", f, p)
}

// checkbox is one box without a legend, value "yes" unless said otherwise.
func (k *Kit) checkbox(s *scene, name, label string, list ...any) (template.HTML, error) {
	p := optionsOf("checkbox", list)
	value, checked, small := p.text("value"), p.flag("checked"), p.flag("small")
	hint := p.text("hint")
	if value == "" {
		value = "yes"
	}
	f, _ := s.start("checkbox", name, label, nil)
	f.Type, f.Plain, f.Small = "checkbox", true, small
	s.choose(&f, []Choice{{Value: value, Label: label, Hint: hint, Checked: checked}})
	return k.field("group", f, p)
}

// choose copies the choices, marks what is chosen and gives each its id.
func (s *scene) choose(f *field, list []Choice) {
	f.Choices = slices.Clone(list)
	var sent []string
	wasSent := false
	if s != nil {
		sent, wasSent = s.Values[f.Name]
	}
	// A form that was sent without this field had nothing chosen.
	wasSent = wasSent || (s != nil && s.Values != nil && len(s.Errors) > 0)
	first := true
	for i := range f.Choices {
		c := &f.Choices[i]
		c.ID = f.Name + "-" + strconv.Itoa(i+1)
		if first && c.Reason == "" {
			c.ID, first = f.Name, false
		}
		switch {
		case c.Reason != "":
			c.Checked = false
		case wasSent:
			c.Checked = slices.Contains(sent, c.Value)
		case f.Value != "":
			c.Checked = c.Value == f.Value
		}
	}
}

// choices and choice make a list inside a template.
func choices(list ...Choice) []Choice { return list }

func choice(value, label string, list ...any) (Choice, error) {
	p := optionsOf("choice", list)
	c := Choice{Value: value, Label: label, Hint: p.text("hint"), Reason: p.text("reason"), Tag: p.text("tag"), Checked: p.flag("checked")}
	return c, p.done()
}
