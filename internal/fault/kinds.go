package fault

import "net/http"

// Kinds returns every kind, in the order of their numbers.
func Kinds() []*Kind {
	return []*Kind{
		Internal, Busy, Full,
		NotFound, MethodNotAllowed, FormTooLarge, FormUnreadable, FormForged,
		JourneyExpired, JourneyTampered, JourneyOtherBrowser, JourneyWrongStep,
	}
}

// KindOf returns the kind with the number, or nil.
func KindOf(number int) *Kind {
	for _, k := range Kinds() {
		if k.Number == number {
			return k
		}
	}
	return nil
}

// Faults of the house itself.
var (
	Internal = &Kind{
		Number: 100, Name: "internal", Status: http.StatusInternalServerError,
		Title:    "Sorry, there is a problem with the service",
		Sentence: "Something went wrong on our side. Nothing you did was lost or half done.",
		Next:     "Try again. If it happens again, call your service desk and read out the reference.",
		Desk:     "An error that Carekey did not foresee. The log has one line with this reference and the cause.",
	}
	Busy = &Kind{
		Number: 101, Name: "busy", Status: http.StatusServiceUnavailable,
		Title:    "The service is very busy",
		Sentence: "We could not finish this in time. Nothing was changed.",
		Next:     "Wait a few seconds and try again.",
		Desk:     "The database was locked or overloaded, or all password workers were busy. Look at the load and at other programs that use the database.",
	}
	Full = &Kind{
		Number: 102, Name: "storage full", Status: http.StatusServiceUnavailable,
		Title:    "The service cannot save anything at the moment",
		Sentence: "There is no room left to store this. Nothing was changed.",
		Next:     "Try again later. Your service desk has to make room first.",
		Desk:     "The disk that holds the database is full. Free some space; Carekey recovers without a restart.",
	}
)

// Faults of pages and forms.
var (
	NotFound = &Kind{
		Number: 204, Name: "page not found", Status: http.StatusNotFound,
		Title:    "Page not found",
		Sentence: "There is no page at this address.",
		Next:     "Check the address, or start again from the home page.",
		Desk:     "A mistyped or old address. Nothing is wrong with the service.",
	}
	MethodNotAllowed = &Kind{
		Number: 205, Name: "method not allowed", Status: http.StatusMethodNotAllowed,
		Title:    "This page cannot be used that way",
		Sentence: "The address is right, but it does not accept this kind of request.",
		Next:     "Go back and use the buttons on the page.",
		Desk:     "A program or an old form called an address with the wrong HTTP method.",
	}
	FormTooLarge = &Kind{
		Number: 206, Name: "form too large", Status: http.StatusRequestEntityTooLarge,
		Title:    "That is too much text",
		Sentence: "The form was larger than this page accepts.",
		Next:     "Go back and shorten what you entered.",
		Desk:     "A form of more than 64 KiB. People never send one by hand: suspect a program.",
	}
	FormUnreadable = &Kind{
		Number: 207, Name: "form unreadable", Status: http.StatusBadRequest,
		Title:    "We could not read that form",
		Sentence: "What your browser sent is not a form that this page understands.",
		Next:     "Go back, reload the page and try again.",
		Desk:     "The form was cut off or changed on its way.",
	}
	FormForged = &Kind{
		Number: 208, Name: "form from elsewhere", Status: http.StatusForbidden,
		Title:    "Please try that again",
		Sentence: "We could not be sure that this form came from you, so nothing was changed.",
		Next:     "Go back, reload the page and send it again. Your browser must accept cookies.",
		Desk:     "The form's token does not belong to this browser: cookies are blocked or were cleared, the page is old, or another site sent the form.",
	}
)

// Faults of sealed journeys.
var (
	JourneyExpired = &Kind{
		Number: 301, Name: "journey expired", Status: http.StatusGone,
		Title:    "You took longer than we allow",
		Sentence: "For your security this page has expired. Nothing was changed.",
		Next:     "Start again. It only takes a minute.",
		Desk:     "The person left a sign-in or registration open for too long. Starting again helps.",
	}
	JourneyTampered = &Kind{
		Number: 302, Name: "journey unreadable", Status: http.StatusBadRequest,
		Title:    "This page cannot go on",
		Sentence: "The address of this page is incomplete or was changed. Nothing was changed in your account.",
		Next:     "Start again from the service that you want to use.",
		Desk:     "A sealed journey did not open: the address was cut, edited or comes from another installation.",
	}
	JourneyOtherBrowser = &Kind{
		Number: 303, Name: "journey of another browser", Status: http.StatusForbidden,
		Title:    "Start again in this browser",
		Sentence: "This page was opened in another browser, or cookies were cleared since. Nothing was changed.",
		Next:     "Start again here, or go back to the browser where you began.",
		Desk:     "A journey is bound to the browser that began it. A copied address never works elsewhere; cookies must be allowed.",
	}
	JourneyWrongStep = &Kind{
		Number: 304, Name: "journey at another step", Status: http.StatusConflict,
		Title:    "That step is not the next one",
		Sentence: "This form belongs to another step of what you are doing. Nothing was changed.",
		Next:     "Go on from the page that is open, or start again.",
		Desk:     "A form was sent to a step that it does not belong to: an old tab, or a program.",
	}
)
