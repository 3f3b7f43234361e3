package sshtest

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Device is a command line like a network device's, which a Fake serves on a
// terminal. The zero value is like Cisco IOS.
type Device struct {
	// Junos: like Juniper's Junos in place of IOS.
	Junos  bool
	Name   string // "": router1
	Banner string // before the first prompt; with \n
	// Enable is the password for enable; "": there is none. WrongTries is how often it
	// is asked for: 1.
	Enable     string
	WrongTries int
	// Asks is the question for that password; "": Password.
	Asks string
	// Page is how many lines the pager shows; 0: 24. Stubborn: it ignores that it is
	// turned off.
	Page     int
	Stubborn bool
	// EchoDelay is how long after a command its echo comes. Noise is written before it,
	// with the prompt again, as by a log message.
	EchoDelay time.Duration
	Noise     string
	// Wake is how long it takes to its first prompt. Mute: it does not show what it is sent.
	Wake time.Duration
	Mute bool
	// Color: prompts are in colours.
	Color bool
	// Silent: nothing is ever written, also no prompt.
	Silent bool
	// Outputs are the answers to commands, lines with \n.
	Outputs map[string]string
	// Cut ends the connection in mid-command at these; Hang never answers them.
	Cut, Hang string
}

// device is one session of a Device.
type device struct {
	Device
	f    *Fake
	in   *bufio.Reader
	out  io.Writer
	mode int // 0 exec, 1 privileged, 2 config
	page int
	cut  func()
}

// Typed returns the lines that a Device was sent, passwords too, in order.
func (f *Fake) Typed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.typed...)
}

// Shells returns how many shells of a Device were asked for.
func (f *Fake) Shells() int { return int(f.shells.Load()) }

// serveDevice serves one terminal.
func (f *Fake) serveDevice(ctx context.Context, ch ssh.Channel, cut func()) {
	d := &device{Device: *f.conf.Device, f: f, in: bufio.NewReader(ch), out: ch, cut: cut}
	stop := context.AfterFunc(ctx, func() { _ = ch.Close() })
	defer stop()
	if d.Name == "" {
		d.Name = "router1"
	}
	if d.page = d.Page; d.page == 0 {
		d.page = 24
	}
	if d.Junos {
		d.mode = 1
	}
	d.write(d.Banner)
	if d.Wake > 0 {
		<-time.After(d.Wake)
	}
	for d.turn() {
	}
}

func (d *device) write(text string) {
	if !d.Silent {
		_, _ = io.WriteString(d.out, strings.ReplaceAll(text, "\n", "\r\n"))
	}
}

func (d *device) prompt() string {
	p := d.Name + []string{">", "#", "(config)#"}[d.mode]
	if d.Junos {
		p = "tester@" + d.Name + []string{"> ", "> ", "# "}[d.mode]
		if d.mode == 2 {
			p = "[edit]\n" + p
		}
	}
	if d.Color {
		p = "\x1b[1;32m" + p + "\x1b[0m\x1b[K"
	}
	return p
}

// turn reads a line and answers it.
func (d *device) turn() bool {
	d.write(d.prompt())
	line, err := d.in.ReadString('\n')
	if err != nil {
		return false
	}
	line = strings.Trim(line, "\r\n")
	d.note(line)
	if d.Noise != "" && line != "" {
		d.write("\n" + d.Noise + "\n" + d.prompt())
	}
	if d.EchoDelay > 0 && line != "" {
		<-time.After(d.EchoDelay)
	}
	if !d.Mute {
		d.write(line + "\n")
	}
	return d.command(line)
}

func (d *device) note(line string) {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.f.typed = append(d.f.typed, line)
}

func (d *device) command(line string) bool {
	out, known := d.Outputs[line]
	switch {
	case line == "":
	case line == d.Cut:
		d.write("Reloading in")
		d.cut()
		return false
	case line == d.Hang:
		d.write("Working")
		_, _ = io.Copy(io.Discard, d.in)
		return false
	case known:
		d.show(out)
	case line == "exit" || line == "logout":
		return false
	case line == "terminal length 0" || line == "set cli screen-length 0":
		if !d.Stubborn {
			d.page = 0
		}
	case strings.HasPrefix(line, "terminal width") || strings.HasPrefix(line, "set cli"):
	case line == "enable" && d.mode == 0:
		return d.enable()
	case line == "disable" && d.mode == 1:
		d.mode = 0
	case (line == "configure terminal" || line == "configure" || line == "configure exclusive") && d.mode == 1:
		d.mode = 2
	case (line == "end" || line == "exit configuration-mode" || line == "commit") && d.mode == 2:
		if line != "commit" {
			d.mode = 1
		} else {
			d.write("commit complete\n")
		}
	case strings.HasPrefix(line, "hostname ") && d.mode == 2:
		d.Name = strings.TrimPrefix(line, "hostname ")
	case strings.HasPrefix(line, "interface ") && d.mode == 2:
	case line == "reload":
		d.write("Proceed with reload? [confirm]")
		answer, err := d.in.ReadString('\n')
		d.note(strings.Trim(answer, "\r\n"))
		d.write("\nBye\n")
		return err != nil
	case line == "flood":
		for {
			if _, err := io.WriteString(d.out, strings.Repeat("flood ", 1000)+"\r\n"); err != nil {
				return false
			}
		}
	case d.Junos:
		d.write("                 ^\nunknown command.\n")
	default:
		d.write("        ^\n% Invalid input detected at '^' marker.\n\n")
	}
	return true
}

// show writes an output, in pages.
func (d *device) show(out string) {
	for i, line := range strings.SplitAfter(strings.TrimSuffix(out, "\n"), "\n") {
		if d.page > 0 && i > 0 && i%d.page == 0 {
			more := " --More-- "
			if d.Junos {
				more = "---(more)---"
			}
			d.write(more)
			if _, err := d.in.ReadByte(); err != nil {
				return
			}
			if d.Junos {
				d.write("\r" + strings.Repeat(" ", len(more)) + "\r")
			} else {
				n := len(more)
				d.write(strings.Repeat("\b", n) + strings.Repeat(" ", n) + strings.Repeat("\b", n))
			}
		}
		d.write(line)
	}
	d.write("\n")
}

// enable asks for the password, without echo.
func (d *device) enable() bool {
	if d.Enable == "" {
		d.mode = 1
		return true
	}
	for range max(1, d.WrongTries) {
		d.write(cmp.Or(d.Asks, "Password: "))
		got, err := d.in.ReadString('\n')
		if err != nil {
			return false
		}
		d.note(strings.Trim(got, "\r\n"))
		d.write("\n")
		if strings.Trim(got, "\r\n") == d.Enable {
			d.mode = 1
			return true
		}
	}
	d.write("% Access denied\n\n")
	return true
}
