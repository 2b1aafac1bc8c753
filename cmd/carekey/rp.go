package main

// rpCommand looks after relying parties.
type rpCommand struct {
	Explain rpExplainCommand `cmd:"" help:"Say why a relying party could not prove who it is, and with which keys it can."`
}
