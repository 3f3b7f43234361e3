package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/sdk/go/internal/wire"
)

type inner struct {
	A int      `json:"a"`
	B *float64 `json:"b,omitempty"`
}

type sample struct {
	S     string            `json:"s"`
	N     int               `json:"n"`
	U     uint8             `json:"u"`
	F     float64           `json:"f"`
	T     bool              `json:"t"`
	List  []string          `json:"list"`
	Env   map[string]string `json:"env"`
	In    inner             `json:"in"`
	Ptr   *inner            `json:"ptr,omitempty"`
	Data  []byte            `json:"data,omitempty"`
	Any   any               `json:"any"`
	Raw   wire.Raw          `json:"raw,omitempty"`
	Plain string
}

func TestEncodeIsWhatEncodingJSONReads(t *testing.T) {
	t.Parallel()
	half := 0.5
	want := sample{
		S: "tab\t quote\" back\\ nul\x00 del\x7f é \U0001F600", N: -7, U: 255, F: 1e21, T: true,
		List: []string{"a", ""}, Env: map[string]string{"B": "2", "A": "1"}, In: inner{A: 1, B: &half}, Ptr: &inner{},
		Data: []byte{0, 255}, Any: map[string]any{"x": []any{1.5, nil, "y", false}}, Plain: "p",
	}
	b, err := wire.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	var got, again sample
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatalf("encoding/json does not read %s: %v", b, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("read by encoding/json (-want +got):\n%s", d)
	}
	if err := wire.Decode(b, &again); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, again); d != "" {
		t.Errorf("read by wire (-want +got):\n%s", d)
	}
}

func TestEncodeNilCollections(t *testing.T) {
	t.Parallel()
	got, err := wire.Encode(struct {
		L []string       `json:"l"`
		M map[string]int `json:"m"`
		P *int           `json:"p"`
	}{})
	if err != nil || string(got) != `{"l":[],"m":{},"p":null}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"unknown field":  {`{"in":{"a":1,"secret_thing":2}}`, "/in/secret_thing: unknown field"},
		"twice":          {`{"s":"x","s":"y"}`, "/s: the field stands here twice"},
		"wrong type":     {`{"list":["a",7]}`, "/list/1: a JSON string is wanted here, not a number"},
		"fraction":       {`{"n":1.5}`, "/n: a whole number is wanted here, not a number"},
		"too large":      {`{"u":256}`, "/u: a number out of the range of uint8"},
		"negative":       {`{"u":-1}`, "/u: a number out of the range of uint8"},
		"not base64":     {`{"data":"%"}`, "/data: not base64"},
		"other case":     {`{"S":"x"}`, "/S: unknown field"},
		"escaped place":  {`{"a/b~":1}`, "/a~1b~0: unknown field"},
		"trailing":       {`{} {}`, "not JSON at byte 3"},
		"empty":          {``, "not JSON at byte 0"},
		"not an object":  {`[1]`, "a JSON object is wanted here, not an array"},
		"string as bool": {`{"t":"true"}`, "/t: true or false is wanted here, not a string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var v sample
			err := wire.Decode([]byte(c.in), &v)
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestDecodeWholeNumbers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int{"5": 5, "5.0": 5, "1e3": 1000, "-0": 0, "9007199254740993": 9007199254740993} {
		var got int
		if err := wire.Decode([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s: got %d, %v; want %d", in, got, err, want)
		}
	}
}

func TestUnsupportedTypes(t *testing.T) {
	t.Parallel()
	type embeds struct{ inner }
	for _, v := range []any{make(chan int), func() {}, map[int]string{1: "x"}, embeds{}, complex(1, 1)} {
		if b, err := wire.Encode(v); err == nil {
			t.Errorf("%T: got %s, want an error", v, b)
		}
	}
	if _, err := wire.Encode(0 / zero()); err == nil {
		t.Error("NaN: want an error")
	}
}

func zero() float64 { return 0 }

func TestDepthIsBounded(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	if err := wire.Valid([]byte(deep)); err == nil {
		t.Error("100,000 nested arrays were accepted")
	}
	type loop struct {
		Next *loop `json:"next"`
	}
	l := &loop{}
	l.Next = l
	if _, err := wire.Encode(l); err == nil {
		t.Error("a value that holds itself was encoded")
	}
}

// FuzzValid holds wire to encoding/json: the same texts are JSON, and mean the same.
func FuzzValid(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5e-3,true,null,"\u00e9\ud83d\ude00\ud800"]}`, ` "x" `, `-0.0`, `01`, `[1,]`, `{"a":1,"a":2}`,
		"\"\xff\"", `"\x"`, `1e400`, `{"a" : {} , "b":[ ]}`, `tru`, `"` + "\x7f" + `"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		want := json.Valid([]byte(in))
		if got := wire.Valid([]byte(in)) == nil; got != want && strings.Count(in, "[")+strings.Count(in, "{") < 500 {
			t.Fatalf("Valid(%q) = %v, encoding/json says %v", in, got, want)
		}
		if !want {
			return
		}
		var w any
		if json.Unmarshal([]byte(in), &w) != nil {
			return // numbers out of range
		}
		checked, err := wire.Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		got, err := checked.Any()
		if err != nil {
			return
		}
		if d := cmp.Diff(w, got); d != "" {
			t.Fatalf("%q (-encoding/json +wire):\n%s", in, d)
		}
		b, err := wire.Encode(got)
		if err != nil {
			t.Fatal(err)
		}
		var back any
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("encoding/json does not read %q: %v", b, err)
		}
		if d := cmp.Diff(w, back); d != "" {
			t.Fatalf("after Encode %q (-want +got):\n%s", b, d)
		}
	})
}
