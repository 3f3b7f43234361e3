package automation_test

import (
	"testing"
	"time"

	"opsconductor.dev/host/automation"
)

func TestFirstIDStandsBetweenWhatWasMadeBeforeAndAfter(t *testing.T) {
	t.Parallel()
	before := time.Now()
	id := automation.NewID[automation.RunID]()
	// NewID goes ahead of the clock when many are made at once: a second is plenty.
	after := time.Now().Add(time.Second)
	if first := automation.FirstID[automation.RunID](before.Add(-time.Millisecond)); first >= id {
		t.Errorf("the first identifier of %s is %s; want it before %s, which was made later", before, first, id)
	}
	if first := automation.FirstID[automation.RunID](after); first <= id {
		t.Errorf("the first identifier of %s is %s; want it after %s, which was made earlier", after, first, id)
	}
	if got, want := automation.FirstID[automation.RunID](time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)), automation.RunID("019ca6b1-dc00"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := automation.FirstID[automation.RunID](time.Time{}), automation.RunID("00000000-0000"); got != want {
		t.Errorf("before 1970: got %s, want %s", got, want)
	}
}
