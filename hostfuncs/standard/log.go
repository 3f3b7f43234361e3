package standard

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"opsconductor.dev/hostfuncs"
)

// LogRequest is the request of log (schemas/hostfuncs/log.json).
type LogRequest struct {
	Level   string `json:"level,omitempty"`
	Message string `json:"message"`
}

// LogResult is the result of log: nothing.
type LogResult struct{}

// maxLine is how many bytes a line may have, with the mark of the cut.
const maxLine = 8 << 10

const cutMark = "… [cut]"

// logLine is the host function log. Control characters stay: what shows a log is
// what takes them out.
func logLine(_ context.Context, s *hostfuncs.Session, req LogRequest) (LogResult, error) {
	if req.Level == "" {
		req.Level = "info"
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, req.Level) {
		return LogResult{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "log: the level is not one of debug, info, warn, error")
	}
	if s.Log == nil {
		return LogResult{}, nil
	}
	for line := range strings.SplitSeq(s.RedactString(strings.TrimSuffix(req.Message, "\n")), "\n") {
		s.Log(req.Level, cut(line))
	}
	return LogResult{}, nil
}

// cut shortens a line to maxLine bytes of whole characters.
func cut(line string) string {
	if len(line) <= maxLine {
		return line
	}
	end := maxLine - len(cutMark)
	for !utf8.RuneStart(line[end]) {
		end--
	}
	return line[:end] + cutMark
}
