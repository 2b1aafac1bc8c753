package world

import _ "embed"

// DemoName is what mistakes in the demo world would be reported under.
const DemoName = "demo.yaml"

// Demo is the world that `carekey dev` begins with.
//
//go:embed demo.yaml
var Demo []byte
