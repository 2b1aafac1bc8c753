// Package web is what every request passes before it reaches a room: who
// really connects, an id for the log, one line in the access log, a limit in
// time, and a page instead of a broken connection when something panics.
//
// A request comes in from the network and goes on to the page kit. The room
// knows no paths and no people, and it never logs a query string, a form or a
// cookie: they may hold a code or a sealed journey.
package web
