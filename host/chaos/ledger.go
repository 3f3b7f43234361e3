package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// The kinds of lines.
const (
	LineStart = "start" // the command is about to act
	LineEnd   = "end"   // it has acted; Exit says how
)

// Line is one line of a ledger: a command on a target began, or ended.
type Line struct {
	Run   string    `json:"run"`
	Step  string    `json:"step"`
	Item  string    `json:"item"`  // the target's name
	Nonce string    `json:"nonce"` // of this execution; the command prints it too
	Kind  string    `json:"kind"`
	At    time.Time `json:"at"`
	Exit  int       `json:"exit"` // of an end
}

// ReadLedger reads a ledger. One that is not there has no lines; half a line at
// its end, of a command that was killed while it wrote, is passed over.
func ReadLedger(path string) ([]Line, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	var out []Line
	for text := range bytes.Lines(b) {
		if !bytes.HasSuffix(text, []byte("\n")) {
			break
		}
		var l Line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("line %d of the ledger: %w", len(out)+1, err)
		}
		out = append(out, l)
	}
	return out, nil
}
