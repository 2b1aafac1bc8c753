package session

import "time"

// Wait sets how long a page waits for its reader's activity to be recorded.
func Wait(s *Sessions, patience time.Duration) { s.patience = patience }
