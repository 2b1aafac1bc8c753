package fault

import "net/http"

// Faults of a person's own pages in Care Identity Management.
var (
	OtherPerson = &Kind{
		Number: 601, Name: "page of another person", Status: http.StatusForbidden,
		Title:    "Somebody else is signed in now",
		Sentence: "This page was begun by another person in this browser. Nothing was changed.",
		Next:     "Start again as yourself, or sign out and sign in as the person who began.",
		Desk:     "Two people used one browser, and a tab of the first was still open. Nothing was changed for either.",
	}
	AddressReplaced = &Kind{
		Number: 602, Name: "address replaced", Status: http.StatusConflict,
		Title:    "You started again with another email address",
		Sentence: "The code is right, but it is for an address that you have replaced since. Nothing was changed.",
		Next:     "Use the code that we sent to the other address, or start again.",
		Desk:     "The person asked for two addresses in two tabs. Only the newest waits for its code.",
	}
	SignInGone = &Kind{
		Number: 610, Name: "sign-in gone", Status: http.StatusNotFound,
		Title:    "This sign-in has ended already",
		Sentence: "You are no longer signed in there. Nothing was changed.",
		Next:     "Look at the list again to see where you are signed in.",
		Desk:     "The sign-in ended while its holder looked at the list, by itself or from another tab. There is nothing to do.",
	}
	LastAuthenticator = &Kind{
		Number: 612, Name: "last authenticator", Status: http.StatusConflict,
		Title:    "You cannot remove your last authenticator",
		Sentence: "Without it you could not sign in any more. Nothing was changed.",
		Next:     "Register another one first, or ask your Registration Authority to remove it. If it is lost, report it as lost.",
		Desk:     "The person wanted to remove the only authenticator that can still sign in (decision 3). The Registration Authority can.",
	}
	MarkLinkUnusable = &Kind{
		Number: 611, Name: "link for shared computers unusable", Status: http.StatusGone,
		Title:    "This link does not work",
		Sentence: "The link is old, or was not copied as a whole. Nothing was changed on this computer.",
		Next:     "Ask your IT service for a new one.",
		Desk:     "A link that marks shared computers works for 24 hours. `carekey shared-computer` makes another.",
	}
)
