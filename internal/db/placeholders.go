package db

import "strings"

// placeholders rewrites $1 to SQLite's ?1, outside quotes and comments. ($1 alone would be a named parameter there.)
func placeholders(query string) string {
	if !strings.Contains(query, "$") {
		return query
	}
	var out strings.Builder
	for i := 0; i < len(query); {
		n := literal(query[i:])
		if n == 0 {
			n = 1
			if query[i] == '$' && i+1 < len(query) && query[i+1] >= '1' && query[i+1] <= '9' {
				out.WriteByte('?')
				i++
				continue
			}
		}
		out.WriteString(query[i : i+n])
		i += n
	}
	return out.String()
}

// literal is the length of the quoted text or comment that sql begins with, 0 for none. A doubled quote reads as two literals in a row, which is as good.
func literal(sql string) int {
	end, from := "", 1
	switch {
	case sql[0] == '\'' || sql[0] == '"':
		end = sql[:1]
	case strings.HasPrefix(sql, "--"):
		end, from = "\n", 2
	case strings.HasPrefix(sql, "/*"):
		end, from = "*/", 2
	default:
		return 0
	}
	n := strings.Index(sql[from:], end)
	if n < 0 {
		return len(sql)
	}
	return from + n + len(end)
}
