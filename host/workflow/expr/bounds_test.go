package expr_test

import (
	"testing"

	"opsconductor.dev/host/automation"
)

// TestBounds: each bound has its own words.
func TestBounds(t *testing.T) {
	t.Parallel()
	env, vars := hostile(t)
	for src, want := range map[string]string{
		`big.split('').size() > 0`:    "a text that is split into too many parts (allowed: at most 100000)",
		`big.replace('', 'xx') == ''`: "a text that is too large (allowed: at most 1048576)",
		`[big, big].join() == ''`:     "a text that is too large (allowed: at most 1048576)",
		`small.matches('[' + 'aaaaaaaaaa'.replace('', big.substring(0, 99)) + ']')`: "a pattern that is too large (allowed: at most 1000 characters, and 1000 steps with its repetitions written out)",
		`big.matches('(abcdef){0,10}z')`:                                            "a pattern and a text that are too large together (allowed: at most 50000000)",
		`[big]`:                                                                     "a result that is too large (allowed: at most 1048576 bytes as JSON)",
		`[ns].map(x, x + x + x + x + x + x + x + x + x + x + x).size() > 0`: "it costs too much",
		`size(objects[0]) == 3 && size(objects) == 10000`:                   "",
		`big.split('', 10).size() == 10`:                                    "",
	} {
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
			if want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e := *automation.AsError(err)
			e.Suggestion = ""
			if err == nil || e.Code != automation.CodeLimit || e.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}
