package fault

import "net/http"

// Faults of the server itself.
var (
	NotEncrypted = &Kind{
		Number: 701, Name: "not encrypted", Status: http.StatusForbidden,
		Title:    "This connection is not safe",
		Sentence: "You reached this service without encryption, so we do not go on.",
		Next:     "Use the address that your organisation gave you. It begins with https://.",
		Desk:     "Somebody came by plain http past the proxy that ends TLS, or that proxy passed plain http on. Check the address they use, the proxy, and trusted_proxies in the configuration.",
	}
)
