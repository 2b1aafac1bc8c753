package page

import (
	"fmt"
	"maps"
	"slices"
)

// pairs are the name/value options of a component, as a template gives them:
// "hint" "It is on your badge" "width" 10.
type pairs struct {
	component string
	values    map[string]any
	err       error
}

func optionsOf(component string, list []any) *pairs {
	p := &pairs{component: component, values: map[string]any{}}
	if len(list)%2 != 0 {
		p.err = fmt.Errorf("%s: options come in pairs of a name and a value", component)
		return p
	}
	for i := 0; i < len(list); i += 2 {
		name, ok := list[i].(string)
		if !ok {
			p.err = fmt.Errorf("%s: option %v must be a name", component, list[i])
			return p
		}
		p.values[name] = list[i+1]
	}
	return p
}

// take removes an option and returns it as T; missing is its zero value.
func take[T any](p *pairs, name string) T {
	var zero T
	value, ok := p.values[name]
	if !ok {
		return zero
	}
	delete(p.values, name)
	typed, ok := value.(T)
	if !ok {
		p.err = fmt.Errorf("%s: option %s must be a %T, not %T", p.component, name, zero, value)
		return zero
	}
	return typed
}

func (p *pairs) text(name string) string { return take[string](p, name) }
func (p *pairs) flag(name string) bool   { return take[bool](p, name) }
func (p *pairs) number(name string) int  { return take[int](p, name) }

// oneOf is a text that must be one of some, or missing.
func (p *pairs) oneOf(name string, some ...string) string {
	value := p.text(name)
	if value != "" && !slices.Contains(some, value) {
		p.err = fmt.Errorf("%s: option %s must be one of %q, not %q", p.component, name, some, value)
	}
	return value
}

// done is an error if an option was wrong or is not known: a mistyped name
// must not be silently without effect.
func (p *pairs) done() error {
	if p.err == nil && len(p.values) > 0 {
		p.err = fmt.Errorf("%s: there is no option %q", p.component, slices.Sorted(maps.Keys(p.values)))
	}
	return p.err
}
