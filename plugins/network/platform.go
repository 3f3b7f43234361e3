package main

import "strings"

// platform is what the actions know of a kind of command line, beside what the host does.
type platform struct {
	// begin edits a candidate, which takes effect as a whole by commit; "": each line
	// takes effect when it is taken. discard throws the candidate away.
	begin, discard string
	// save keeps what runs over a restart; a commit does that by itself.
	save string
	// finished is what the device says, in lower case, when commit or save is done.
	finished string
	// barred are the first words of lines that act at once or commit a candidate in parts.
	barred []string
}

func platformOf(name string) platform {
	switch name {
	case "junos":
		return platform{begin: "configure exclusive", discard: "rollback 0", finished: "commit complete", barred: []string{"commit", "run", "rollback", "load"}}
	case "iosxr":
		return platform{begin: "configure exclusive", discard: "abort", barred: []string{"commit", "do", "abort", "rollback", "load", "end"}}
	case "nxos":
		return platform{save: "copy running-config startup-config", finished: "copy complete"}
	case "eos":
		return platform{save: "write memory", finished: "copy completed successfully"}
	}
	return platform{save: "write memory", finished: "[ok]"} // ios, frr
}

// unfit says why a line can't be sent as one of configuration; "": it can.
func (p platform) unfit(line string) string {
	words := strings.Fields(line)
	switch {
	case len(words) == 0:
		return "it is blank"
	case strings.Contains(line, "?"):
		return "it has a question mark, by which the command line shows help in place of taking it"
	case strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "it has a line break or a control character; give one line at a time"
	}
	for _, word := range p.barred {
		if strings.EqualFold(words[0], word) {
			return "it begins with " + word + ": the action commits all lines together at the end, and nothing else acts before that"
		}
	}
	return ""
}
