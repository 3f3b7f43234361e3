package hostfuncs_test

import (
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}`: "", `{"name":"a","count":3,"tags":{"x":"y"}}`: "", " \n{\"name\":\"\"} ": "",
		``: "ends too early", `null`: "not a JSON object", `[1]`: "not a JSON object", `{"name":"x"`: "ends too early",
		`{"name":"x"}{}`: "bytes after", `{"name":"x"} x`: "bytes after", `{"nam":1}`: "unknown field \"nam\" (known: name, count, tags)",
		`{"Name":"x"}`: "unknown field", `{"name":"x","name":"y"}`: "there twice", `{"name":null}`: "is null",
		`{"name":5}`: "field name is of the wrong type: number", `{"count":"s3cret"}`: "field count is of the wrong type: string",
		`{"count":1.5}`: "field count is of the wrong type", `{"tags":{"a":1}}`: "wrong type", "{\"name\":\"\xff\"}": "not UTF-8", `{"name":x}`: "not JSON, at byte",
	} {
		var r request
		err := hostfuncs.Decode([]byte(in), &r)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", in, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v, want %q", in, err, want)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: the error has the value: %v", in, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"name":"a","count":3}`, `{"name":"x"} {}`, `{"tags":{"a":"b"}}`, `{"name":null}`, "[["} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r request
		if err := hostfuncs.Decode(in, &r); err != nil && len(err.Error()) > 1000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}
