package claims

import "embed"

// Schemas holds the JSON Schema of each kind of token and answer: id-token.json,
// userinfo.json and logout-token.json in the folder schema. They are published
// for suppliers, and the tests hold what is sent against them.
//
//go:embed schema/*.json
var Schemas embed.FS
