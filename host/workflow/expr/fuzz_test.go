package expr_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow/expr"
)

// FuzzExpression: no expression panics; each error has a code; each result is
// the same when it is evaluated again, and is JSON.
func FuzzExpression(f *testing.F) {
	for _, src := range []string{
		`out.used_pct > n`, `out.disks.map(d, {'z': d.name, 'a': d})`, `{'b': 1, 'a': {1: 2, 'x': 3}}.map(k, k)`,
		`out.labels.exists(k, out.labels[k] == '2')`, `[1, 2.0, 'x', null, true, b'\x00']`, `timestamp('2026-01-01T00:00:00Z')`,
		`out.mount.matches('^/v.*')`, `type(out)`, `-9223372036854775808 / -1`, `out.raw.big`, `string(out.used_pct) + '%'`, `dyn(out).x.y`,
		`out.mount.split('/').map(p, p.upperAscii().replace('', out.mount)).join('é')`, `out.mount.substring(1, n).indexOf(dyn('v'), 0)`,
		`[out.raw].map(x, [x, x]).map(x, x + x).exists(x, x in [x] || x == out.raw)`, `out.mount.matches(out.mount + '{1000}{0,30}(a|b)*')`,
		`dyn(out.disks).join(dyn(1)).trim() == bytes(out.mount)`, `timestamp(out.mount) - duration('1s') < timestamp(0)`,
	} {
		f.Add(src)
	}
	env, vars := setup(f)
	f.Fuzz(func(t *testing.T, src string) {
		p, errs := env.Compile(src, nil)
		for _, e := range errs {
			if e.Code != automation.CodeExpression && e.Code != automation.CodeLimit || e.Message == "" {
				t.Errorf("error of %q: got %q %q (%v)", src, e.Code, e.Message, e.Err)
			}
		}
		if errs != nil {
			return
		}
		first, ok := result(t, p, vars)
		second, _ := result(t, p, vars)
		if ok && (first != second || !json.Valid([]byte(first))) {
			t.Errorf("results of %q: got %s and %s, want the same JSON", src, first, second)
		}
	})
}

func result(t *testing.T, p *expr.Program, vars expr.Vars) (string, bool) {
	t.Helper()
	v, err := p.Eval(vars)
	var raw []byte
	if err == nil {
		raw, err = v.AppendJSON(nil)
	}
	if err != nil {
		if c := automation.CodeOf(err); c != automation.CodeExpression && c != automation.CodeLimit {
			t.Errorf("error: got %q (%v), want expression or limit", c, err)
		}
		return "", false
	}
	return string(raw), true
}

// FuzzSplitTemplate: no text panics; the parts' texts are what stands around the
// expressions.
func FuzzSplitTemplate(f *testing.F) {
	for _, s := range []string{"", "a ${{ b }} c", "$${{ x }}", "${{ {'a': '}}'} }}", "${{", "${{ r'\\' }}", "${{ '''' }}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, err := expr.SplitTemplate(s)
		if err != nil {
			if automation.CodeOf(err) != automation.CodeExpression {
				t.Errorf("error: got %v, want code expression", err)
			}
			return
		}
		if !expr.HasTemplate(s) && (len(parts) > 1 || len(parts) == 1 && parts[0].Text != s) {
			t.Errorf("parts of %q: got %v, want the text itself", s, parts)
		}
		for _, p := range parts {
			if (p.Text == "") == (p.Expression == "") || p.Expression != "" && !strings.Contains(s, p.Expression) {
				t.Errorf("parts of %q: got %+v, want text or an expression of it", s, p)
			}
		}
	})
}

func TestAssetSelector(t *testing.T) {
	t.Parallel()
	selects, err := expr.AssetSelector(`asset.os == 'linux' && 'web' in asset.tags && asset.port == 22 && asset.vars.rack > 3`)
	if err != nil {
		t.Fatal(err)
	}
	a := automation.Asset{OS: "linux", Tags: []string{"db", "web"}, Port: 22, Vars: map[string]any{"rack": 4.0}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if ok, err := selects(a); !ok || err != nil {
				t.Errorf("selects: got %t (%v), want true", ok, err)
			}
		})
	}
	wg.Wait()
	a.Tags = nil
	if ok, err := selects(a); ok || err != nil {
		t.Errorf("selects without the tag: got %t (%v), want false", ok, err)
	}
	a.Tags, a.Vars = []string{"web"}, nil
	if _, err := selects(a); automation.CodeOf(err) != automation.CodeExpression {
		t.Errorf("selects without the variable: got %v, want code expression", err)
	}
	if _, err := expr.AssetSelector(`asset.credential == ''`); automation.CodeOf(err) != automation.CodeExpression {
		t.Errorf("selector over a credential: got %v, want code expression", err)
	}
	if _, err := expr.AssetSelector(`asset.name`); automation.CodeOf(err) != automation.CodeExpression {
		t.Errorf("selector without a condition: got %v, want code expression", err)
	}
}
