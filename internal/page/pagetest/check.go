// Package pagetest holds what tests of pages need: a kit with a fixed key, a
// browser that keeps cookies and fills in hidden fields, and
// Check, which every page state of every room must pass. Only tests use it.
package pagetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Check fails the test if the page breaks a basic rule of validity and
// accessibility: doctype, language, title, one h1, unique ids, references to
// ids that exist, a name for every field, link and button, no inline script or
// style (the CSP would refuse it), nothing from another host.
func Check(t testing.TB, page string) {
	t.Helper()
	problems := Problems(page)
	for _, problem := range problems {
		t.Errorf("page: %s", problem)
	}
	if len(problems) > 0 {
		t.Logf("the page was:\n%s", page)
	}
}

// Problems returns what Check would report.
func Problems(page string) []string {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return []string{err.Error()}
	}
	c := &checker{ids: map[string]int{}, labels: map[string]string{}}
	if !strings.HasPrefix(page, "<!DOCTYPE html>") {
		c.report("no doctype")
	}
	if strings.Contains(page, "ZgotmplZ") {
		c.report("a template put something unsafe into an attribute")
	}
	c.walk(root, c.collect)
	c.walk(root, c.judge)
	if c.h1 != 1 {
		c.report("%d h1 elements, not one", c.h1)
	}
	if !c.title {
		c.report("no title")
	}
	for id, n := range c.ids {
		if n > 1 {
			c.report("id %q is used %d times", id, n)
		}
	}
	slices.Sort(c.problems)
	return c.problems
}

type checker struct {
	problems []string
	ids      map[string]int
	labels   map[string]string // for → text
	h1       int
	title    bool
}

func (c *checker) report(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *checker) walk(n *html.Node, visit func(*html.Node)) {
	if n.Type == html.ElementNode {
		visit(n)
	}
	for child := range n.ChildNodes() {
		c.walk(child, visit)
	}
}

func (c *checker) collect(n *html.Node) {
	if id := attr(n, "id"); id != "" {
		c.ids[id]++
	}
	switch n.Data {
	case "label":
		c.labels[attr(n, "for")] = text(n)
	case "h1":
		c.h1++
		if text(n) == "" {
			c.report("the h1 is empty")
		}
	case "title":
		c.title = c.title || text(n) != ""
	}
}

func (c *checker) judge(n *html.Node) {
	for _, a := range n.Attr {
		switch {
		case strings.HasPrefix(a.Key, "on") || a.Key == "style":
			c.report("<%s> has an inline %s", n.Data, a.Key)
		case a.Key == "for" || a.Key == "aria-controls" || a.Key == "aria-labelledby" || a.Key == "aria-describedby":
			for id := range strings.FieldsSeq(a.Val) {
				if c.ids[id] == 0 {
					c.report("<%s %s> refers to %q, which is not on the page", n.Data, a.Key, id)
				}
			}
			if a.Val == "" {
				c.report("<%s> has an empty %s", n.Data, a.Key)
			}
		case a.Key == "href" && len(a.Val) > 1 && a.Val[0] == '#' && c.ids[a.Val[1:]] == 0:
			c.report("a link leads to %s, which is not on the page", a.Val)
		}
	}
	c.judgeElement(n)
}

func (c *checker) judgeElement(n *html.Node) {
	switch n.Data {
	case "html":
		if attr(n, "lang") == "" {
			c.report("the page has no language")
		}
	case "script":
		if text(n) != "" || attr(n, "src") == "" {
			c.report("an inline script")
		}
		c.local(n, "src")
	case "style":
		c.report("an inline style sheet")
	case "img":
		if !has(n, "alt") {
			c.report("an image without alt")
		}
		c.local(n, "src")
	case "link":
		c.local(n, "href")
	case "input", "select", "textarea":
		kind := attr(n, "type")
		if n.Data == "input" && (kind == "hidden" || kind == "submit") {
			return
		}
		if c.labels[attr(n, "id")] == "" && attr(n, "aria-label") == "" {
			c.report("field %q has no label", attr(n, "name"))
		}
	case "a", "button":
		if text(n) == "" && attr(n, "aria-label") == "" {
			c.report("a %s without a name", n.Data)
		}
	case "form":
		token, away := strings.Contains(fieldNames(n), " csrf "), strings.Contains(attr(n, "action"), "://")
		switch {
		case attr(n, "method") == "post" && !away && !token:
			c.report("form %q posts without a CSRF token", attr(n, "action"))
		case away && token:
			c.report("form %q takes our CSRF token to another site", attr(n, "action"))
		}
	}
}

// local reports what would be fetched from elsewhere.
func (c *checker) local(n *html.Node, key string) {
	if v := attr(n, key); strings.HasPrefix(v, "//") || strings.HasPrefix(v, "http") {
		c.report("<%s> fetches %s from a third party", n.Data, v)
	}
}

func fieldNames(form *html.Node) string {
	names := " "
	for n := range form.Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" {
			names += attr(n, "name") + " "
		}
	}
	return names
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

// inline elements do not part words; all others do.
var inline = []string{"a", "b", "code", "em", "i", "span", "strong", "time"}

// text returns the words of an element as a person would read them.
func text(n *html.Node) string {
	var b strings.Builder
	var write func(n *html.Node)
	write = func(n *html.Node) {
		switch {
		case n.Type == html.TextNode:
			b.WriteString(n.Data)
		case n.Type == html.ElementNode && !slices.Contains(inline, n.Data):
			b.WriteByte(' ')
			defer b.WriteByte(' ')
		}
		for child := range n.ChildNodes() {
			write(child)
		}
	}
	write(n)
	return strings.Join(strings.Fields(b.String()), " ")
}
