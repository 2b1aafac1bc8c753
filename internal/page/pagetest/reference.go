package pagetest

import "regexp"

var reference = regexp.MustCompile(`\b[0-9]{3}-[0-9A-Z]{3}-[0-9A-Z]{3}\b`)

// Unreferenced returns text without its references, which differ each time:
// for comparing pages that must say the same.
func Unreferenced(text string) string { return reference.ReplaceAllString(text, "REFERENCE") }
