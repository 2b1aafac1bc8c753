package main

import (
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// Run prints which build this is.
func (versionCommand) Run(c *console) error {
	version, revision := "unreleased", ""
	if build, ok := debug.ReadBuildInfo(); ok {
		if build.Main.Version != "" && build.Main.Version != "(devel)" {
			version = build.Main.Version
		}
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value
			}
		}
	}
	c.printf("carekey %s%s %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
