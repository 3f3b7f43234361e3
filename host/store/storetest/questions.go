package storetest

import (
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func questions(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	wake, stop := f.st.Wake(store.TopicQuestions)
	defer stop()
	ask := func(id automation.QuestionID, shard int, at time.Time) store.Question {
		q := store.Question{ID: id, Tenant: tenant, Shard: shard, Run: "r", At: store.Moment(at)}
		f.must(f.st.Ask(ctx, q))
		return q
	}
	one := ask("one", 0, start())
	select {
	case <-wake:
	case <-ctx.Done():
		t.Error("a question does not wake the leader")
	}
	two := ask("two", 0, start())
	ask("elsewhere", 1, start())
	equal(t, "questions of the shard", must(f.st.Asked(ctx, 0, 10)), []store.Question{one, two})
	equal(t, "the first of them", must(f.st.Asked(ctx, 0, 1)), []store.Question{one})
	equal(t, "an answer before there is one", must(f.st.Answer(ctx, tenant, "one")), []byte(nil))
	f.must(f.st.PutAnswer(ctx, "one", []byte("[]")))
	f.must(f.st.PutAnswer(ctx, "gone", []byte("[]")))
	equal(t, "the answer", must(f.st.Answer(ctx, tenant, "one")), []byte("[]"))
	equal(t, "questions without an answer", must(f.st.Asked(ctx, 0, 10)), []store.Question{two})
	_, err := f.st.Answer(ctx, other, "one")
	wantCode(t, "another tenant's answer", err, automation.CodeNotFound)
	three := ask("three", 0, start().Add(2*store.QuestionAge))
	equal(t, "old questions are forgotten", must(f.st.Asked(ctx, 0, 10)), []store.Question{three})
	_, err = f.st.Asked(ctx, 0, 0)
	wantCode(t, "no limit", err, automation.CodeInvalid)
}
