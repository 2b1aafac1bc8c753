// Package page is the page kit: what a page of Carekey looks like, and what
// every request and every form must satisfy before a room sees it.
//
// A room comes in with templates (Kit.Pages) and a View for each answer; a
// whole HTML page leaves (Pages.Render), built from the components of
// nhsuk-frontend, in the operator's name and colours. A handler whose work
// failed hands the error to Kit.Fault, the only place where an error becomes a
// page. Kit.Wrap stands before all routes: security headers, the browser's
// cookie, the size limit of forms, and the refusal of forms that this browser
// did not get from us.
//
// The kit never decides who somebody is or what they may do. It keeps nothing
// between requests, asks no third party for anything, needs no JavaScript, and
// never shows a password, a code or the cause of an error.
//
// # Templates
//
// A room has one file for each page, templates/<name>.html, which defines
// "content". Files templates/_<name>.html are shared by all pages of the room
// (embed templates/*.html: embedding the directory leaves such files out).
// The layout writes the one h1 of the page (View.Heading, or View.Title), unless
// the content has an h1 itself: a label, a legend ("heading" true) or a panel.
//
//	{{define "content"}}
//	{{form $ "/register/email"}}
//	  {{input $ "email" "What is your Care Identity email address?" "heading" true
//	      "hint" "We will send you a single-use, 8-digit One Time Password."
//	      "type" "email" "autocomplete" "username" "width" 20}}
//	  {{button "Send One Time Password"}}
//	{{endform}}
//	{{end}}
//
// Components are functions. Those that need the page (its errors, values and
// tokens) take $ first; inside a {{template "x" $}} of a shared file $ is what
// was given to it. After the fixed arguments come options in pairs of name and
// value; an option that does not exist is an error. Nothing is safe HTML but
// what a component or a template made: text is always escaped.
//
// Forms and fields:
//
//	{{form $ "/path"}} … {{endform}}     posts with csrf and j; "method" "get", "j" token, "id"
//	{{hidden "name" "value"}}
//	{{input $ name label}}               hint, value, type (text email tel), autocomplete, inputmode, width (2 3 4 5 10 20 30),
//	                                     heading, size (s m l xl), disabled, readonly
//	{{password $ name label}}            hint, autocomplete (current-password, new-password), heading, size
//	{{code $ name label}}                hint, digits, heading, size: one text box for a one-time code
//	{{search $ name label}}              hint, value: a search box with its button
//	{{radios $ name legend choices}}     hint, heading, size, value, small, inline, hideLegend; choices is []Choice
//	{{checkboxes $ name legend choices}} the same
//	{{fido $ "/path" kind options c}}    opens the form of a WebAuthn ceremony, "create" or "get"; "needs" "platform", "auto" true,
//	                                     "conditional" true. {{fidobutton "Text" "What to do meanwhile"}} … {{endform}} close it. Beside it
//	                                     the page shows [data-carekey-without] until the script runs, and [data-carekey-cannot] hidden
//	                                     for browsers that cannot. FIDOAnswer reads what comes back.
//	{{checkbox $ name label}}            one box without a legend: value (else "yes"), hint, checked, small
//	{{select $ name label choices}}      hint, heading, size, value, autocomplete
//	(choices (choice "yes" "Yes" "hint" "…") (choice "no" "No" "reason" "why not"))
//	{{button "Continue"}}                variant (secondary warning reverse login), name, value, small, hidden (words for screen readers)
//	{{linkbutton "Start" "/path"}}       the same, as a link
//	{{postbutton $ "/path" "Remove"}}    the same, as a form of its own
//	<div class="nhsuk-button-group">…</div> around buttons that stand side by side
//
// Text and lists:
//
//	{{link "text" "/path"}} {{newtab "text" "/path"}} {{actionlink "text" "/path"}}
//	{{inset}}<p>…</p>{{endinset}} {{warning "Heading"}}<p>…</p>{{endwarning}} {{details "Summary" "open" true}}<p>…</p>{{enddetails}}
//	{{summary rows}}                     []Row, or (rows (row "Name" .Data.Name) (row "Email" .Data.Email "change" "/path" "text" "Add"))
//	{{tasks items}}                      []Task
//	{{table "Caption" columns cells}}    []string or (columns "A" "B"), [][]any
//	{{tiles items}}                      []Tile
//	{{tag "Active" "colour" "green"}}
//	{{banner "Success" "What was done"}} "text"; any other title is "Important" blue
//	{{panel "Done" "text"}}              is the h1
//	{{date t}} {{clock t}} {{datetime t}} in Options.Zone
//
// Plain paragraphs, lists and headings take nhsuk's classes
// (class="nhsuk-list nhsuk-list--bullet", class="nhsuk-heading-m"). There is no
// inline style or script: the content security policy refuses both.
package page
