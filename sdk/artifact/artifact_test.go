package artifact_test

import (
	"bytes"
	"errors"
	"testing"

	"opsconductor.dev/sdk/artifact"
)

func custom(name, body string) []byte {
	payload := append([]byte{byte(len(name))}, name+body...)
	return append([]byte{0, byte(len(payload))}, payload...)
}

func module(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

func TestEmbedThenRead(t *testing.T) {
	t.Parallel()
	other := module(custom("name", "x"), []byte{1, 1, 0})
	large := bytes.Repeat([]byte("m"), 70_000)
	for _, manifest := range [][]byte{[]byte(`{"abi":1}`), {}, large} {
		with, err := artifact.Embed(other, manifest)
		if err != nil {
			t.Fatal(err)
		}
		got, err := artifact.Read(with)
		if err != nil || !bytes.Equal(got, manifest) {
			t.Errorf("got %d bytes, %v; want the %d embedded", len(got), err, len(manifest))
		}
		if !bytes.HasPrefix(with, other) {
			t.Error("the other sections changed")
		}
	}
}

func TestEmbedReplaces(t *testing.T) {
	t.Parallel()
	before, after := custom("a", "1"), custom("b", "2")
	wasm := module(before, custom(artifact.Section, "old"), after, custom(artifact.Section, "older"))
	got, err := artifact.Embed(wasm, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	if want := module(before, after, custom(artifact.Section, "new")); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	again, err := artifact.Embed(got, []byte("new"))
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("embedding the same twice changed the module: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	manifest := custom(artifact.Section, "{}")
	for name, c := range map[string]struct {
		wasm []byte
		want error
	}{
		"nothing":          {nil, artifact.ErrNotWasm},
		"text":             {[]byte("#!/bin/sh\n echo"), artifact.ErrNotWasm},
		"component":        {[]byte("\x00asm\x0d\x00\x01\x00"), artifact.ErrComponent},
		"later version":    {[]byte("\x00asm\x02\x00\x00\x00"), artifact.ErrNotWasm},
		"no manifest":      {module(custom("name", "x")), artifact.ErrNoManifest},
		"two manifests":    {module(manifest, manifest), artifact.ErrTwice},
		"cut off":          {module(manifest)[:20], artifact.ErrTruncated},
		"no length":        {module([]byte{1}), artifact.ErrTruncated},
		"endless length":   {module([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), artifact.ErrTruncated},
		"length past end":  {module([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f}), artifact.ErrTruncated},
		"name past itself": {module([]byte{0, 2, 9, 'a'}, manifest), artifact.ErrTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := artifact.Read(c.wasm); !errors.Is(err, c.want) {
				t.Errorf("Read: got %v, want %v", err, c.want)
			}
			_, err := artifact.Embed(c.wasm, []byte("{}"))
			if embeds := errors.Is(c.want, artifact.ErrNoManifest) || errors.Is(c.want, artifact.ErrTwice); embeds != (err == nil) {
				t.Errorf("Embed: got %v", err)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(module(custom("a", "1"), custom(artifact.Section, "{}")), []byte("x"))
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x00\xff\xff\xff\xff\x0f"), []byte("{}"))
	f.Fuzz(func(t *testing.T, wasm, manifest []byte) {
		_, _ = artifact.Read(wasm)
		with, err := artifact.Embed(wasm, manifest)
		if err != nil {
			return
		}
		got, err := artifact.Read(with)
		if err != nil || !bytes.Equal(got, manifest) {
			t.Fatalf("after Embed: got %q, %v; want %q", got, err, manifest)
		}
	})
}
