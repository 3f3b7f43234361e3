package sshtest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// SFTPKind is a type of SFTP packet (draft-ietf-secsh-filexfer-02 section 3).
type SFTPKind byte

// The types that tests are about.
const (
	SFTPInit     SFTPKind = 1
	SFTPVersion  SFTPKind = 2
	SFTPOpen     SFTPKind = 3
	SFTPClose    SFTPKind = 4
	SFTPRead     SFTPKind = 5
	SFTPWrite    SFTPKind = 6
	SFTPLstat    SFTPKind = 7
	SFTPSetstat  SFTPKind = 9
	SFTPFsetstat SFTPKind = 10
	SFTPOpendir  SFTPKind = 11
	SFTPReaddir  SFTPKind = 12
	SFTPRemove   SFTPKind = 13
	SFTPMkdir    SFTPKind = 14
	SFTPRmdir    SFTPKind = 15
	SFTPStat     SFTPKind = 17
	SFTPRename   SFTPKind = 18
	SFTPReadlink SFTPKind = 19
	SFTPStatus   SFTPKind = 101
	SFTPHandle   SFTPKind = 102
	SFTPData     SFTPKind = 103
	SFTPName     SFTPKind = 104
	SFTPAttrs    SFTPKind = 105
	SFTPExtended SFTPKind = 200
)

// SFTP says how a Fake serves files. The zero value serves those of the machine,
// with the rights of the test.
type SFTP struct {
	// Stall: fall silent at a request of these types. Close: end the session there.
	Stall, Close []SFTPKind
	// Plain: name no extensions, as old servers do. Extra: name these too.
	Plain bool
	Extra []string
	// Answer answers requests in place of the real server; nil, or a nil answer: the
	// real one does. body is what follows the request's identifier. The answers are
	// whole packets (Packet); one of no bytes ends the session there.
	Answer func(kind SFTPKind, id uint32, body []byte) []byte
}

// Packet returns an SFTP packet: parts are uint32, string (with its length) or
// []byte (as it is).
func Packet(kind SFTPKind, id uint32, parts ...any) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0, byte(kind)}, id)
	for _, p := range parts {
		switch p := p.(type) {
		case uint32:
			b = binary.BigEndian.AppendUint32(b, p)
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...) //nolint:gosec // short
		case []byte:
			b = append(b, p...)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4)) //nolint:gosec // short
	return b
}

// Stalls returns how often an SFTP session has fallen silent.
func (f *Fake) Stalls() int { return int(f.stalls.Load()) }

// sftp serves one SFTP session: requests pass through a filter to a real server.
func (f *Fake) sftp(ctx context.Context, ch ssh.Channel) {
	fromClient, toServer := io.Pipe()
	fromServer, toClient := io.Pipe()
	server, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{fromClient, toClient})
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	var writing sync.Mutex
	wg.Go(func() { _ = server.Serve(); _ = toClient.Close() })
	wg.Go(func() {
		for {
			p, err := readPacket(fromServer)
			if err != nil {
				_ = fromServer.CloseWithError(err)
				return
			}
			if f.conf.SFTP.Plain && SFTPKind(p[4]) == SFTPVersion {
				p = Packet(SFTPVersion, 3)
			}
			for _, name := range f.conf.SFTP.Extra {
				if SFTPKind(p[4]) == SFTPVersion {
					p = append(p, Packet(0, 0, name, "1")[9:]...)
					binary.BigEndian.PutUint32(p, uint32(len(p)-4)) //nolint:gosec // short
				}
			}
			writing.Lock()
			_, _ = ch.Write(p)
			writing.Unlock()
		}
	})
	f.filter(ctx, ch, toServer, &writing)
	_ = toServer.Close()
	_ = ch.Close()
	wg.Wait()
}

func (f *Fake) filter(ctx context.Context, ch ssh.Channel, to io.Writer, writing sync.Locker) {
	conf := f.conf.SFTP
	for {
		p, err := readPacket(ch)
		if err != nil {
			return
		}
		kind, id := SFTPKind(p[4]), binary.BigEndian.Uint32(p[5:])
		switch {
		case slices.Contains(conf.Stall, kind):
			f.stalls.Add(1)
			ended := make(chan struct{})
			f.wg.Go(func() { _, _ = io.Copy(io.Discard, ch); close(ended) })
			select {
			case <-ctx.Done():
			case <-ended:
			}
			return
		case slices.Contains(conf.Close, kind):
			return
		}
		if conf.Answer != nil {
			if answer := conf.Answer(kind, id, p[9:]); answer != nil {
				if len(answer) == 0 {
					return
				}
				writing.Lock()
				_, _ = ch.Write(answer)
				writing.Unlock()
				continue
			}
		}
		if _, err := to.Write(p); err != nil {
			return
		}
	}
}

// readPacket reads a packet with its length. Each has at least a type and four
// bytes after it.
func readPacket(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err //nolint:wrapcheck // only its being there counts
	}
	n := binary.BigEndian.Uint32(head)
	if n < 5 || n > 1<<20 {
		return nil, errors.New("no SFTP packet")
	}
	p := append(head, make([]byte, n)...)
	_, err := io.ReadFull(r, p[4:])
	return p, err //nolint:wrapcheck // only its being there counts
}
