package storetest

import (
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func queueLoads(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	epoch := f.lead("h")
	get := func() []automation.QueueLoad {
		t.Helper()
		loads, err := f.st.QueueLoads(ctx)
		f.must(err)
		return loads
	}
	equal(t, "the loads at first", len(get()), 0)
	f.must(f.st.PutQueueLoads(ctx, 0, "h", epoch, []automation.QueueLoad{{Queue: "dmz", Waiting: 2}, {Queue: "default", Waiting: 3}, {Queue: "none"}}))
	equal(t, "the loads", get(), []automation.QueueLoad{{Queue: "default", Waiting: 3}, {Queue: "dmz", Waiting: 2}})
	other, err := f.st.Lead(ctx, 7, "h", 0, 1<<40)
	f.must(err)
	f.must(f.st.PutQueueLoads(ctx, 7, "h", other, []automation.QueueLoad{{Queue: "dmz", Waiting: 5}}))
	equal(t, "the loads of two shards", get(), []automation.QueueLoad{{Queue: "default", Waiting: 3}, {Queue: "dmz", Waiting: 7}})
	wantErr(t, "the loads of a leader whose epoch is over", f.st.PutQueueLoads(ctx, 0, "h", epoch+1, nil), store.ErrFenced)
	f.must(f.st.PutQueueLoads(ctx, 0, "h", epoch, nil))
	equal(t, "the loads when nothing waits", get(), []automation.QueueLoad{{Queue: "dmz", Waiting: 5}})
}
