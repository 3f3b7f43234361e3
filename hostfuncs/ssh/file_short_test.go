package ssh_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// content returns bytes of which no part is like another.
func content(size int) []byte {
	b := make([]byte, 0, size+8)
	for len(b) < size {
		b = binary.BigEndian.AppendUint64(b, uint64(len(b))) //nolint:gosec // a length
	}
	return b[:size]
}

// partly answers reads of a file by what part gives of the bytes that stand there, up to
// the length that was asked for; nil: that is the end.
func partly(size uint64, mode uint32, part func(at uint64, length uint32) []byte) sshtest.SFTP {
	return sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, body []byte) []byte {
		switch kind { //nolint:exhaustive // the real server answers the rest
		case sshtest.SFTPStat, sshtest.SFTPLstat:
			return sshtest.Packet(sshtest.SFTPAttrs, id, attrs(size, mode))
		case sshtest.SFTPOpen:
			return sshtest.Packet(sshtest.SFTPHandle, id, "h")
		case sshtest.SFTPRead:
			b := part(binary.BigEndian.Uint64(body[5:]), binary.BigEndian.Uint32(body[13:]))
			if b == nil {
				return sshtest.Packet(sshtest.SFTPStatus, id, uint32(1), "EOF", "")
			}
			return sshtest.Packet(sshtest.SFTPData, id, string(b))
		}
		return nil
	}}
}

// window is what b has from an offset on, at most so many bytes.
func window(b []byte, at uint64, length uint32) []byte {
	if at >= uint64(len(b)) {
		return nil
	}
	return b[at:min(at+uint64(length), uint64(len(b)))]
}

// A server may give less than was asked for, and a file may grow or end while it is
// read: what is returned is what stands there, from the beginning, without a gap.
func TestGetParts(t *testing.T) {
	t.Parallel()
	whole := content(300_000)
	var grown atomic.Bool
	for name, tc := range map[string]struct {
		size uint64 // that the server says
		part func(at uint64, length uint32) []byte
		want []byte
	}{
		"at most 10,000 bytes an answer": {300_000, func(at uint64, length uint32) []byte { return window(whole, at, min(length, 10_000)) }, whole},
		"of no known length":             {0, func(at uint64, length uint32) []byte { return window(whole, at, min(length, 10_000)) }, whole},
		"grows while it is read": {100_000, func(at uint64, length uint32) []byte {
			if !grown.Load() {
				grown.Store(at >= 98_304) // the packet at the old end is answered before there is more
				return window(whole[:100_000], at, length)
			}
			return window(whole, at, length)
		}, whole},
		"ends before its size":  {300_000, func(at uint64, length uint32) []byte { return window(whole[:70_000], at, length) }, whole[:70_000]},
		"longer than its size":  {10, func(at uint64, length uint32) []byte { return window(whole, at, length) }, whole},
		"of whole packets only": {65_536, func(at uint64, length uint32) []byte { return window(whole[:65_536], at, length) }, whole[:65_536]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, e := lying(t, partly(tc.size, 0o100644, tc.part))
			got, err := p.Get(t.Context(), e, "/f", len(whole))
			if err != nil || !bytes.Equal(got.Content, tc.want) || got.SHA256 != sum(tc.want) {
				t.Errorf("%d bytes (%v), want the %d that stand there", len(got.Content), err, len(tc.want))
			}
		})
	}
	p, e := lying(t, partly(300_000, 0o100644, func(at uint64, length uint32) []byte {
		if at == 65_536 {
			return []byte{}
		}
		return window(whole, at, length)
	}))
	_, err := p.Get(t.Context(), e, "/f", len(whole))
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "no bytes in the middle of a file")
}

// A session that ends in the middle of a file is not the file's end.
func TestGetEndsEarly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, content(100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		size   uint64
		answer []byte
		code   hostfuncs.Code
	}{
		"closed, of known length":              {100_000, []byte{}, hostfuncs.Lost},
		"closed, of no known length":           {0, []byte{}, hostfuncs.Lost},
		"silent in a packet, of known length":  {100_000, []byte{0, 1, 0, 0, 103}, hostfuncs.Timeout},
		"silent in a packet, of unknown":       {0, []byte{0, 1, 0, 0, 103}, hostfuncs.Timeout},
		"not SFTP any more, of known length":   {100_000, []byte("Connection closed.\r\n"), hostfuncs.Protocol},
		"not SFTP any more, of unknown length": {0, []byte("Connection closed.\r\n"), hostfuncs.Protocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reads := 0
			p, e := hostile(t, sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, id uint32, _ []byte) []byte {
				if kind == sshtest.SFTPStat {
					return sshtest.Packet(sshtest.SFTPAttrs, id, attrs(tc.size, 0o100600))
				}
				if kind == sshtest.SFTPRead {
					if reads++; reads > 1 {
						return tc.answer
					}
				}
				return nil
			}})
			got, err := p.Get(t.Context(), e, path, 1<<20)
			if len(got.Content) > 0 {
				t.Errorf("%d bytes were taken for the file", len(got.Content))
			}
			wantError(t, err, tc.code, hostfuncs.Before)
		})
	}
}
