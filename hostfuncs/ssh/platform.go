package ssh

import (
	"regexp"
	"slices"
	"strings"
)

// Platform is the kind of command line that a dialog is with.
type Platform string

// The platforms. Generic is any program that prompts: it has no modes, and nothing
// is sent to it on opening but line feeds.
const (
	Generic Platform = "generic"
	IOS     Platform = "ios"   // Cisco IOS and IOS XE
	IOSXR   Platform = "iosxr" // Cisco IOS XR
	NXOS    Platform = "nxos"  // Cisco NX-OS
	EOS     Platform = "eos"   // Arista EOS
	Junos   Platform = "junos" // Juniper Junos
	FRR     Platform = "frr"   // vtysh of FRRouting
)

// Platforms returns all platforms.
func Platforms() []Platform { return []Platform{Generic, IOS, IOSXR, NXOS, EOS, Junos, FRR} }

// Mode is what a command line lets its user do.
type Mode string

// The modes. A platform without an unprivileged mode (Junos) is privileged at once.
const (
	Exec       Mode = "exec"
	Privileged Mode = "privileged"
	Configure  Mode = "config"
)

// platform is what is known of one kind of command line.
type platform struct {
	prepare   []string // turns the pager off
	enable    string   // to Privileged; "": the platform has no such step
	disable   string   // back to Exec
	configure string   // to Configure; "": it has no such mode
	leave     string   // out of Configure
	refused   *regexp.Regexp
	modes     func(prompt string) Mode
}

// What a command line says of a line that it does not take, at the line's beginning.
var (
	genericRefusal = regexp.MustCompile(`^$.`) // matches nothing
	ciscoRefusal   = regexp.MustCompile(`(?i)^\s*(% ?(invalid|incomplete|ambiguous|unknown|unrecognized|bad |error|access denied|authorization|permission|not |cannot|can't|failed|command|specify |no such |\S+ overlaps with )|\^?%? ?command authorization failed|command rejected|error: )`)
	frrRefusal     = regexp.MustCompile(`^\s*(% ?\S|BGP is already running; )`) // FRRouting marks what went wrong, and nothing else, by %
	junosRefusal   = regexp.MustCompile(`(?i)^\s*(syntax error|unknown command|error:|invalid |missing argument|.* is ambiguous\.?$|permission denied|configuration check-out failed)`)
)

// modeBySign reads the mode as Cisco's command line and those like it show it.
func modeBySign(prompt string) Mode {
	prompt = strings.TrimRight(prompt, " ")
	switch {
	case strings.HasSuffix(prompt, ")#") && strings.Contains(prompt, "(conf"):
		return Configure
	case strings.HasSuffix(prompt, "#"):
		return Privileged
	}
	return Exec
}

func modeOfJunos(prompt string) Mode {
	if strings.HasSuffix(strings.TrimRight(prompt, " "), "#") {
		return Configure
	}
	return Privileged
}

// of returns what is known of a platform; false: there is no such.
func (p Platform) of() (platform, bool) {
	cisco := platform{
		prepare: []string{"terminal length 0", "terminal width 511"}, enable: "enable", disable: "disable",
		configure: "configure terminal", leave: "end", refused: ciscoRefusal, modes: modeBySign,
	}
	switch p {
	case "", Generic:
		return platform{refused: genericRefusal, modes: func(string) Mode { return Exec }}, true
	case IOS, NXOS:
	case IOSXR:
		cisco.enable, cisco.disable = "", ""
	case EOS:
		cisco.prepare = []string{"terminal length 0", "terminal width 32767"}
	case FRR:
		cisco.prepare, cisco.refused = []string{"terminal length 0"}, frrRefusal
	case Junos:
		return platform{
			prepare: []string{"set cli screen-length 0", "set cli screen-width 0"}, configure: "configure", leave: "exit configuration-mode",
			refused: junosRefusal, modes: modeOfJunos,
		}, true
	default:
		return platform{}, false
	}
	return cisco, true
}

// refusal returns the line by which a command line says that it did not take what
// was sent; "": there is none. It looks at the first lines and the last ones.
func (p platform) refusal(output string) string {
	lines := strings.Split(output, "\n")
	const ends = 40
	if len(lines) > 2*ends {
		lines = append(slices.Clone(lines[:ends]), lines[len(lines)-ends:]...)
	}
	for _, line := range lines {
		if p.refused.MatchString(line) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// likePrompt is a line that may be a prompt nobody has seen yet: no blank before its
// last sign but one after a user's name and place.
var likePrompt = regexp.MustCompile(`^[\[{(<*]?[\w.@:~/+-]{1,120}( [\w.~/+-]{1,60})?(\([\w.@:/+ -]{1,60}\))?[\])}*]?\s?[>#$%] ?$`)

// pagers is what a pager shows at the end of a page.
var pagers = regexp.MustCompile(`(?i)(<?-{2,3} ?\(?more( ?\d{1,3}%)?\)? ?-{2,3}>?( ?\(\d{1,3}%\))?|press any key to continue[^\n]{0,60})\s*$`)

// asksSecret is what a question for a password ends with.
var asksSecret = regexp.MustCompile(`(?i)(password|passphrase|passcode|secret)[^\n]{0,60}: ?$`)

// learned returns the pattern of the prompts of a command line that has shown one:
// the same name, in any mode.
func learned(prompt string) *regexp.Regexp {
	base := strings.TrimRight(prompt, " ")
	if base == "" {
		return nil
	}
	if strings.ContainsAny(base[len(base)-1:], ">#$%") {
		base = base[:len(base)-1]
	}
	if at := strings.LastIndex(base, "("); at > 0 && strings.HasSuffix(base, ")") {
		base = base[:at]
	}
	if strings.TrimSpace(base) == "" {
		return regexp.MustCompile("^" + regexp.QuoteMeta(strings.TrimRight(prompt, " ")) + " ?$")
	}
	if last := prompt[len(strings.TrimRight(prompt, " "))-1]; !strings.ContainsRune(">#$%", rune(last)) {
		return regexp.MustCompile("^" + regexp.QuoteMeta(strings.TrimRight(prompt, " ")) + " ?$")
	}
	return regexp.MustCompile("^" + regexp.QuoteMeta(base) + `(\([^()\n]{1,60}\))?[>#$%] ?$`)
}
