package page

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Colours are the operator's own, as "#rrggbb".
type Colours struct {
	// Header is the background of the header, under white text.
	Header string
	// Link is the colour of links, on the white and pale grey of a page.
	Link string
}

// Carekey's own colours, not those of any organisation.
const (
	defaultHeader = "#1d3d5c"
	defaultLink   = "#14578f"
)

// leastContrast is between text and its background (WCAG 2.2, 1.4.3).
const leastContrast = 4.5

// pageGrey is the background of a page (nhsuk-frontend's grey 5).
const pageGrey = "#f0f4f5"

func (c Colours) orDefaults() Colours {
	return Colours{Header: cmp.Or(c.Header, defaultHeader), Link: cmp.Or(c.Link, defaultLink)}
}

// Check says which colour people could not read, in words for whoever wrote
// the configuration. A zero value is in order.
func (c Colours) Check() error { return c.orDefaults().check() }

func (c Colours) check() error {
	return errors.Join(
		readable("header", c.Header, "#ffffff", "white text on it"),
		readable("link", c.Link, pageGrey, "the grey of the page"),
	)
}

func readable(name, colour, against, words string) error {
	a, err := luminance(colour)
	if err != nil {
		return fmt.Errorf("the %s colour: %w", name, err)
	}
	b, err := luminance(against)
	if err != nil {
		return err
	}
	if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < leastContrast {
		return fmt.Errorf("the %s colour %s has a contrast of %.1f to %s: it must be at least %.1f, so choose a darker one",
			name, colour, math.Floor(ratio*10)/10, words, leastContrast)
	}
	return nil
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(colour string) (float64, error) {
	if len(colour) != 7 || colour[0] != '#' {
		return 0, fmt.Errorf("%q is not a colour: write it as #1d3d5c", colour)
	}
	rgb, err := strconv.ParseUint(colour[1:], 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a colour: write it as #1d3d5c", colour)
	}
	part := func(shift uint) float64 {
		v := float64(rgb>>shift&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0), nil
}

// darker returns the colour with each part scaled, for hover and pressed.
func darker(colour string, scale float64) string {
	rgb, err := strconv.ParseUint(colour[1:], 16, 32)
	if err != nil {
		panic(fmt.Sprintf("colour %q was checked before: %v", colour, err))
	}
	part := func(shift uint) int { return int(float64(rgb>>shift&0xff) * scale) }
	return fmt.Sprintf("#%02x%02x%02x", part(16), part(8), part(0))
}

// css is the style sheet that puts the operator's colours over those of
// nhsuk-frontend. Colours were checked: nothing else can get in.
func (c Colours) css() string {
	return fmt.Sprintf(`.nhsuk-header,.nhsuk-header__container{background-color:%[1]s}
.nhsuk-header__account{background-color:%[4]s;border-color:%[4]s}
.nhsuk-header__account-item{outline-color:%[1]s}
.nhsuk-footer{border-top:4px solid %[1]s}
a:not([class]):link,.nhsuk-link:link,.nhsuk-card__link:link,.nhsuk-back-link:link,.nhsuk-action-link:link,.nhsuk-task-list__link:link,.carekey-link-button{color:%[2]s}
.nhsuk-details__summary,.nhsuk-details__summary-text{color:%[2]s}
a:not([class]):hover,.nhsuk-link:hover,.carekey-link-button:hover{color:%[3]s}
.carekey-notice{border-left-color:%[1]s}
`, c.Header, c.Link, darker(c.Link, 0.6), darker(c.Header, 0.6))
}
