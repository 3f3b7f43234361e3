package expr_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
)

func TestText(t *testing.T) {
	t.Parallel()
	env, vars := setup(t)
	tests := map[string]string{
		`'TacoCÆt Ünï'.lowerAscii()`:           `"tacocÆt Ünï"`,
		`'TacoCæt'.upperAscii()`:               `"TACOCæT"`,
		`"  \t x y\n".trim()`:                  `"x y"`,
		`'a,b,,c'.split(',')`:                  `["a","b","","c"]`,
		`'a,b,c'.split(',', 2)`:                `["a","b,c"]`,
		`'a,b,c'.split(',', 0)`:                `[]`,
		`'a,b,c'.split(',', -1)`:               `["a","b","c"]`,
		`'héé'.split('')`:                      `["h","é","é"]`,
		`''.split(',')`:                        `[""]`,
		`['a', 'b', 'c'].join()`:               `"abc"`,
		`['a', 'b', 'c'].join(', ')`:           `"a, b, c"`,
		`[].join(',')`:                         `""`,
		`out.disks.map(d, d.name).join(',')`:   `"sda"`,
		`'hello hello'.replace('he', 'we')`:    `"wello wello"`,
		`'hello hello'.replace('he', 'we', 1)`: `"wello hello"`,
		`'hello'.replace('l', '', 0)`:          `"hello"`,
		`'hello'.replace('l', '', -1)`:         `"heo"`,
		`'añb'.replace('', '-')`:               `"-a-ñ-b-"`,
		`'añb'.replace('', '-', 2)`:            `"-a-ñb"`,
		`'tacocat'.substring(4)`:               `"cat"`,
		`'tæcocat'.substring(1, 3)`:            `"æc"`,
		`'æ'.substring(1)`:                     `""`,
		`'tæcocat'.indexOf('c')`:               `2`,
		`'tæcocat'.indexOf('c', 3)`:            `4`,
		`'tacocat'.indexOf('x')`:               `-1`,
		`'tacocat'.indexOf('')`:                `0`,
		`out.mount.startsWith('/v') && out.mount.endsWith('r') && out.mount.contains('va')`: `true`,
		`out.mount.matches('^/[a-z]+$')`:                                                          `true`,
		`matches(out.mount, '/' + 'var')`:                                                         `true`,
		`out.raw.n == 1.5 ? 'x'.upperAscii() : 'y'`:                                               `"X"`,
		`int('42') + int(3.9)`:                                                                    `45`,
		`double('1.5') + double(1)`:                                                               `2.5`,
		`string(out.used_pct) + '%' + string(out.count) + string(true)`:                           `"90%3true"`,
		`string(timestamp('2026-01-02T03:04:05Z') + duration('1h'))`:                              `"2026-01-02T04:04:05Z"`,
		`timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z') > duration('23h')`: `true`,
		`'b' in 'a b c'.split(' ') && !('B' in 'a b c'.split(' '))`:                               `true`,
		`'k=v'.split('=')[1].size()`:                                                              `1`,
		`'%'.replace('%', r'\d')`:                                                                 `"\\d"`,
	}
	for src, want := range tests {
		t.Run(src, func(t *testing.T) {
			t.Parallel()
			p, errs := env.Compile(src, nil)
			if errs != nil {
				t.Fatalf("Compile: %v", errs)
			}
			if got, ok := result(t, p, vars); !ok || got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestTextErrors(t *testing.T) {
	t.Parallel()
	env, vars := setup(t)
	const early, late = "Compile", "Eval"
	re2 := "a regular expression of RE2"
	backslash := `in a text of CEL a backslash is written twice, or the text begins with r: r'\d+'`
	bounds := "at most 1000 characters, and 1000 steps with its repetitions written out"
	tests := map[string]struct {
		when string
		want automation.Error
	}{
		`'abc'.substring(4)`:                       {late, automation.Error{Code: "expression", Message: "a position that is not in the text", Suggestion: "ask for size(…) first"}},
		`'abc'.substring(-1)`:                      {late, automation.Error{Code: "expression", Message: "a position that is not in the text", Suggestion: "ask for size(…) first"}},
		`'abc'.substring(2, 1)`:                    {late, automation.Error{Code: "expression", Message: "a position that is not in the text", Suggestion: "ask for size(…) first"}},
		`'abc'.indexOf('a', 4)`:                    {late, automation.Error{Code: "expression", Message: "a position that is not in the text", Suggestion: "ask for size(…) first"}},
		`'abc'.matches('(hunter2')`:                {early, automation.Error{Code: "expression", Message: "a pattern that does not parse at column 15 of the expression", Allowed: re2, Suggestion: backslash}},
		`'abc'.matches('(abcd){300}')`:             {early, automation.Error{Code: "limit", Message: "a pattern that is too large at column 15 of the expression", Allowed: bounds}},
		`'abc'.matches('(hunter2' + out.mount)`:    {late, automation.Error{Code: "expression", Message: "a pattern that does not parse", Allowed: re2, Suggestion: backslash}},
		`'abc'.matches(out.mount + '(abcd){300}')`: {late, automation.Error{Code: "limit", Message: "a pattern that is too large", Allowed: bounds}},
		`out.count.lowerAscii()`:                   {early, automation.Error{Code: "expression", Message: "no lowerAscii for int.() at column 21 of the expression"}},
		`[1, 2].join(',')`:                         {early, automation.Error{Code: "expression", Message: "no join for list(int).(string) at column 12 of the expression"}},
		`dyn([1, 2]).join(',')`:                    {late, automation.Error{Code: "expression", Message: "an operator or function on values of the wrong type", Suggestion: "convert them with int(…), double(…) or string(…)"}},
		`out.raw.trim()`:                           {late, automation.Error{Code: "expression", Message: "an operator or function on values of the wrong type", Suggestion: "convert them with int(…), double(…) or string(…)"}},
		`'abc'.format(['a'])`:                      {early, automation.Error{Code: "expression", Message: "unknown name format at column 13 of the expression", Allowed: "n, out, steps"}},
	}
	for src, tt := range tests {
		t.Run(src, func(t *testing.T) {
			t.Parallel()
			p, errs := env.Compile(src, nil)
			if tt.when == early {
				if len(errs) != 1 {
					t.Fatalf("Compile: got %v, want one error", errs)
				}
				if diff := cmp.Diff(tt.want, *errs[0]); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				return
			}
			if errs != nil {
				t.Fatalf("Compile: %v", errs)
			}
			_, err := p.Eval(vars)
			got := *automation.AsError(err)
			got.Err = nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
