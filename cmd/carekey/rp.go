package main

// rpCommand looks after relying parties.
type rpCommand struct {
	RegistrationToken rpTokenCommand `cmd:"" name:"registration-token" help:"Print a token with which programs register relying parties by themselves."`

	Explain rpExplainCommand `cmd:"" help:"Say why a relying party could not prove who it is, and with which keys it can."`
}
