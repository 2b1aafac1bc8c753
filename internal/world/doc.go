// Package world reads the world file: people, organisations, roles,
// authenticators, relying parties and notices, as `carekey apply -f` takes
// them.
//
// A file comes in; what it changes leaves, applied in one transaction or shown
// only. Applying it twice changes nothing. A mistake anywhere, and nothing is
// applied.
//
// Each field is one of two kinds (decision: apply). Managed: the file wins
// each time, and a field that is absent has its default. Created once: what a
// person can change by themselves (email address, authenticators) is made if
// the person has none, and left alone ever after. What is missing from the
// file stays, unless Prune is asked for; a section that is missing as a whole
// is never touched.
//
//	managed        email_allow_list; every field of organisations, roles,
//	               relying parties and notices; a person's names, level,
//	               memberships and closing
//	created once   a person's email and authenticators; a generated client
//	               secret
//
// The room never prints a secret, and outside dev mode accepts none: chosen
// passwords and client secrets belong to demonstrations.
package world
