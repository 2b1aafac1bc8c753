package fault

import "net/http"

// Faults of the Connection Manager. Programs of suppliers read them as JSON.
var (
	TeamRefused = &Kind{
		Number: 550, Name: "team not authenticated", Status: http.StatusUnauthorized,
		Title:    "The team's program could not prove whose it is",
		Sentence: "The secret or the session is missing, wrong, or good no more.",
		Next:     "Sign in with a secret of your team: POST /api/auth with Authorization: SecretAuth and the secret.",
		Desk:     "A request to the Connection Manager came without a session, with one that is older than an hour, or with a secret that no team has. carekey team show TEAM lists the secrets that are good and when each was used; carekey team secret new TEAM makes another.",
	}
	ConfigRefused = &Kind{
		Number: 551, Name: "config refused", Status: http.StatusBadRequest,
		Title:    "The config has mistakes",
		Sentence: "What was sent cannot be registered. Nothing was changed.",
		Next:     "Mend what the message names and send it again.",
		Desk:     "The supplier was told what to mend. What their program may not set (scopes, methods, the profile, certificates) is set with carekey rp set.",
	}
	ConfigChanged = &Kind{
		Number: 552, Name: "config changed meanwhile", Status: http.StatusConflict,
		Title:    "Somebody else changed the config meanwhile",
		Sentence: "The hash is not that of the config as it is now. Nothing was changed.",
		Next:     "Read the config again, make the change in it, and send it with the new hash.",
		Desk:     "Two programs or people of a team, or the operator, changed the same relying party. Nothing was lost: the audit log says who changed it first.",
	}
	ConfigUnknown = &Kind{
		Number: 553, Name: "config not found", Status: http.StatusNotFound,
		Title:    "There is no such config",
		Sentence: "The team has no config with this name.",
		Next:     "List the team's configs: GET /api/configs/ and the team's id.",
		Desk:     "A name or client id that no relying party of the team has. carekey rp list says which team looks after which; carekey rp set CLIENT team=TEAM gives one to a team.",
	}
	TeamForbidden = &Kind{
		Number: 554, Name: "another team", Status: http.StatusForbidden,
		Title:    "This is another team's",
		Sentence: "The session is of another team than the address names.",
		Next:     "Use one of the team_ids that the sign-in answered.",
		Desk:     "A program of one team asked for the configs of another, or of one that does not exist. A mistyped team id is the usual reason.",
	}
)
