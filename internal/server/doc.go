// Package server puts the house together and runs it: every room is made here,
// by hand and in one place, and every route is registered here.
//
// A checked configuration comes in. Furnish makes the rooms, which is enough
// for a command that works beside a running server; Serve answers requests
// until it is told to stop. The room decides nothing that a person would
// notice: rules live in the rooms below.
package server
