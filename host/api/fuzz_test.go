package api_test

import (
	"errors"
	"testing"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
)

// Whatever the bytes are, the checker answers; what it lets pass encoding/json
// takes, and its faults have places within the text.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		web, "", "{", "[]", "null", `{"name":1}`, `{"tags":["a",2,{}],"vars":{"a":[1,{"b":null}]}}`, `{"name":"a","name":"b"}`, `{"port":1e400}`,
		"{\"\xff\":1}", `{"a~/b":[[[[]]]]}`, `{"name":"\ud800"}`, `{,}`, `{"port":-0}`, `{"port":22 , "x" :}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		strict, plain := api.CheckAsset(raw)
		if strict == nil && plain != nil {
			t.Fatalf("the checker let pass what can't be decoded: %v", plain)
		}
		var many automation.Errors
		errors.As(strict, &many)
		for _, e := range many {
			if e.Line < 1 || e.Column < 1 || e.Column > len(raw)+1 || e.Code == "" || e.Message == "" {
				t.Fatalf("a fault without a place: %+v", e)
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("eyJ2IjoxLCJsIjoiYXNzZXRzIiwiYSI6IngifQ")
	f.Add("%")
	f.Fuzz(func(t *testing.T, text string) {
		after, again, err := api.ReadCursor(text)
		if err != nil {
			return
		}
		if back, _, err := api.ReadCursor(again); err != nil || back != after {
			t.Fatalf("cursor %q reads as %q, which reads as %q, %v", text, after, back, err)
		}
	})
}
