package main

import "testing"

func TestClean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"plain", "load 0.5 °C", "load 0.5 °C"},
		{"colour", "\x1b[31mred\x1b[0m", "red"},
		{"title", "\x1b]0;owned\x07text", "text"},
		{"title with ST", "\x1b]0;owned\x1b\\text", "text"},
		{"unended string", "a\x1b]0;owned", "a"},
		{"clear the screen", "\x1b[2J\x1b[Hgone", "gone"},
		{"C1 CSI", "\u009b31mred", "red"},
		{"device string", "\x1bPq#0\x1b\\x", "x"},
		{"carriage return hides", "good\rbad", "good bad"},
		{"bell, backspace, nul", "a\x07b\x08c\x00d", "abcd"},
		{"direction", "a\u202egnp.exe", "agnp.exe"},
		{"lines and tabs", "a\nb\tc", "a b c"},
		{"broken UTF-8", "a\xffb", "a\ufffdb"},
		{"lone escape", "a\x1b", "a"},
		{"character set", "\x1b(Bx", "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := clean(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "\x1b[", "\x1b]", "\u009b", "a\x1b\xff", "\x1b[31mred"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range clean(s) {
			if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				t.Fatalf("%q keeps %U", s, r)
			}
		}
	})
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöüß", 3, "äö…"}, {"abc", 0, "…"}} {
		if got := shorten(c.in, c.width); got != c.want {
			t.Errorf("%q at %d: got %q, want %q", c.in, c.width, got, c.want)
		}
	}
}
