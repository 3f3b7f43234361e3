package engine

import (
	"bytes"
	"io"
	"strings"
)

// stdioBytes is how much of what a guest prints is kept for its log.
const stdioBytes = 16 << 10

// stdio keeps what a guest prints on stdout and stderr. It is written by the
// guest's goroutine and read after the call.
type stdio struct {
	streams []*stream
}

type stream struct {
	level string
	buf   bytes.Buffer
}

func (s *stdio) writer(level string) io.Writer {
	w := &stream{level: level}
	s.streams = append(s.streams, w)
	return w
}

// Write keeps what fits and drops the rest.
func (w *stream) Write(p []byte) (int, error) {
	w.buf.Write(p[:min(len(p), stdioBytes-w.buf.Len())])
	return len(p), nil
}

func (s *stdio) flush(log func(level, message string)) {
	for _, w := range s.streams {
		for line := range strings.Lines(w.buf.String()) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				log(w.level, line)
			}
		}
	}
}

// first returns the first line that the guest wrote to stderr: a panic's message.
func (s *stdio) first() string {
	for _, w := range s.streams {
		if w.level == "error" {
			line, _, _ := strings.Cut(w.buf.String(), "\n")
			return line[:min(len(line), 300)]
		}
	}
	return ""
}
