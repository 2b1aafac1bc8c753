// Package care is the vocabulary of health and care identity: who a worker is
// (UID), where they work (ODS code), what they may do there (role code), how
// they sign in (Method), how sure we are (AAL), and what a relying party asks
// for (Requirement).
//
// Everyone comes in; values and pure rules leave. It does no I/O, reads no
// clock, and imports no other room.
package care
