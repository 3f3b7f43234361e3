package service

import (
	"fmt"

	"opsconductor.dev/host/automation"
)

// checkVersion compares the version that a change was made from (0: any) with
// the version that the object has.
func checkVersion(noun string, now, from int64) error {
	if from == 0 || from == now {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeConflict, Message: fmt.Sprintf("the %s has version %d by now, and the change was made from another", noun, now),
		Suggestion: "read it again, make the change on what it is now, and send its version",
	}
}

func notFound(noun string) error {
	return &automation.Error{Code: automation.CodeNotFound, Message: "there is no such " + noun, Suggestion: "list them to see what there is"}
}
