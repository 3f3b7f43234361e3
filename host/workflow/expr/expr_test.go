package expr_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

const outputs = `{"type": "object", "properties": {
	"used_pct": {"type": "number"}, "mount": {"type": "string"}, "count": {"type": "integer"},
	"disks": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer"}}}},
	"labels": {"type": "object", "additionalProperties": {"type": "string"}},
	"raw": {}
}}`

const doc = `{"used_pct": 90, "mount": "/var", "count": 3, "disks": [{"name": "sda", "size": 12345678901234567}],
	"labels": {"b": "2", "a": "1", "c": "3"}, "raw": {"n": 1.50, "big": 123456789012345678901234567890}}`

func setup(t testing.TB) (*expr.Env, expr.Vars) {
	t.Helper()
	s, err := schema.Compile([]byte(outputs))
	if err != nil {
		t.Fatal(err)
	}
	v, err := schema.Decode([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	env, err := expr.NewEnv(map[string]*schema.Type{"out": s.Type(), "n": {Kind: schema.KindInteger}, "steps": nil}, expr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return env, expr.Map{"out": expr.JSON(s.Type(), v), "n": expr.Integer(80)}
}

func TestEval(t *testing.T) {
	t.Parallel()
	env, vars := setup(t)
	tests := map[string]string{
		`out.used_pct > n`:                             `true`,
		`out.used_pct + 0.5`:                           `90.5`,
		`out.used_pct`:                                 `90`,
		`out.count + 1`:                                `4`,
		`out.disks[0].size`:                            `12345678901234567`,
		`out.disks.exists(d, d.name == 'sda')`:         `true`,
		`out.disks.map(d, d.name)`:                     `["sda"]`,
		`out.disks`:                                    `[{"name":"sda","size":12345678901234567}]`,
		`out.labels.map(k, k)`:                         `["a","b","c"]`,
		`{'z': 1, 'a': 2, 'm': 3}.map(k, k)`:           `["a","m","z"]`,
		`{'z': out.mount, 'a': [1, 2.5, null]}`:        `{"a":[1,2.5,null],"z":"/var"}`,
		`out.raw`:                                      `{"big":123456789012345678901234567890,"n":1.50}`,
		`has(out.mount)`:                               `true`,
		`out.labels == {'a': '1', 'b': '2', 'c': '3'}`: `true`,
		`[1] + [2]`:                                    `[1,2]`,
		`size(out.labels)`:                             `3`,
		`'a' in out.labels`:                            `true`,
		`"<&>\u2028é"`:                                 `"<&>\u2028é"`,
		`out.disks + out.disks == out.disks`:           `false`,
	}
	for src, want := range tests {
		t.Run(src, func(t *testing.T) {
			t.Parallel()
			p, errs := env.Compile(src, nil)
			if errs != nil {
				t.Fatalf("Compile: %v", errs)
			}
			v, err := p.Eval(vars)
			if err != nil {
				t.Fatalf("Eval: %v", err)
			}
			got, err := v.AppendJSON(nil)
			if err != nil || string(got) != want {
				t.Errorf("got %s (%v), want %s", got, err, want)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	env, _ := setup(t)
	tests := map[string]automation.Error{
		`out.used_pcnt > 3`: {
			Code: "expression", Message: "undefined field used_pcnt at column 4 of the expression",
			Allowed: "count, disks, labels, mount, raw, used_pct", Suggestion: `did you mean "used_pct"?`,
		},
		`out.disks.exists(d, d.nmae == '')`: {
			Code: "expression", Message: "undefined field nmae at column 22 of the expression",
			Allowed: "name, size", Suggestion: `did you mean "name"?`,
		},
		`outt.mount`:    {Code: "expression", Message: "unknown name outt at column 1 of the expression", Allowed: "n, out, steps", Suggestion: `did you mean "out"?`},
		`secrets.pw`:    {Code: "expression", Message: "secrets cannot be read by expressions yet at column 1 of the expression", Allowed: "n, out, steps", Suggestion: "give the target a credential: the host uses it by itself"},
		`now()`:         {Code: "expression", Message: "expressions have no clock at column 4 of the expression", Allowed: "n, out, steps"},
		`out.mount +`:   {Code: "expression", Message: "the expression does not parse at column 12 of the expression", Allowed: "a CEL expression"},
		`out.mount > 3`: {Code: "expression", Message: "no > for (string, int) at column 11 of the expression"},
		`out.used_pct == 3`: {
			Code: "expression", Message: "no == for (double, int) at column 14 of the expression",
			Suggestion: "write numbers that may have a fraction with a point, like 90.0, or convert with double(…)",
		},
		strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200): {Code: "limit", Message: "the expression is too large", Allowed: "4096 characters, 64 nested parts"},
		`"` + strings.Repeat("x", 5000) + `"`:                     {Code: "limit", Message: "the expression is too large", Allowed: "4096 characters, 64 nested parts"},
	}
	for src, want := range tests {
		t.Run(src[:min(len(src), 40)], func(t *testing.T) {
			t.Parallel()
			_, errs := env.Compile(src, nil)
			if len(errs) != 1 {
				t.Fatalf("errors: got %v, want one", errs)
			}
			if diff := cmp.Diff(want, *errs[0]); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEvalErrors(t *testing.T) {
	t.Parallel()
	env, vars := setup(t)
	tests := map[string]struct {
		code    automation.Code
		message string
	}{
		`out.labels.missing`:      {"expression", "a field or key that is not there"},
		`out.labels["hunter2"]`:   {"expression", "a field or key that is not there"},
		`out.disks[7].name`:       {"expression", "an index past the end of a list"},
		`1 / (out.count - 3)`:     {"expression", "a division by zero"},
		`int(out.mount)`:          {"expression", "a value that cannot be converted"},
		`out.raw + 1`:             {"expression", "an operator or function on values of the wrong type"},
		`9223372036854775807 + n`: {"expression", "a number that is out of range"},
	}
	for src, want := range tests {
		t.Run(src, func(t *testing.T) {
			t.Parallel()
			p, errs := env.Compile(src, nil)
			if errs != nil {
				t.Fatal(errs)
			}
			v, err := p.Eval(vars)
			if err == nil {
				_, err = v.AppendJSON(nil)
			}
			e := automation.AsError(err)
			if e.Code != want.code || e.Message != want.message {
				t.Errorf("got %q %q (%v), want %q %q", e.Code, e.Message, e.Err, want.code, want.message)
			}
		})
	}
}

func TestSplitTemplate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want []expr.Part
		bad  bool
	}{
		"":                       {nil, false},
		"plain $ { }} text":      {[]expr.Part{{Text: "plain $ { }} text"}}, false},
		"${{ a }}":               {[]expr.Part{{Expression: "a"}}, false},
		"  ${{a}}\n":             {[]expr.Part{{Expression: "a", Offset: 2}}, false},
		"x ${{ a }} y":           {[]expr.Part{{Text: "x "}, {Expression: "a", Offset: 2}, {Text: " y", Offset: 10}}, false},
		"${{a}}${{b}}":           {[]expr.Part{{Expression: "a"}, {Expression: "b", Offset: 6}}, false},
		"${{ {'a': {'b': 1}} }}": {[]expr.Part{{Expression: "{'a': {'b': 1}}"}}, false},
		"${{ '}}' }}":            {[]expr.Part{{Expression: "'}}'"}}, false},
		`${{ "\"}}" }}`:          {[]expr.Part{{Expression: `"\"}}"`}}, false},
		`${{ r'\' }}`:            {[]expr.Part{{Expression: `r'\'`}}, false},
		`${{ '''it's }}''' }}`:   {[]expr.Part{{Expression: `'''it's }}'''`}}, false},
		"$${{ a }}":              {[]expr.Part{{Text: "${{ a }}"}}, false},
		"${{ a":                  {nil, true},
		"${{ a }":                {nil, true},
		"${{ }}":                 {nil, true},
		"${{ 'a }}":              {nil, true},
		"${{ a } }}":             {nil, true},
	}
	for src, tt := range tests {
		t.Run(src, func(t *testing.T) {
			t.Parallel()
			got, err := expr.SplitTemplate(src)
			if (err != nil) != tt.bad || tt.bad && automation.CodeOf(err) != automation.CodeExpression {
				t.Fatalf("error: got %v, want one: %t", err, tt.bad)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
		})
	}
}
