package main

import (
	"strconv"
	"strings"
)

// parseDisks reads the output of df -P -k. Memory file systems, and those of no
// size, are left out; of two lines about one mount point the later counts.
func parseDisks(lines []string) []Disk {
	disks := []Disk{}
	place := map[string]int{}
	for _, line := range lines {
		d, ok := parseDisk(line)
		if !ok || d.SizeBytes == 0 || inMemory(d.Source) {
			continue
		}
		if i, seen := place[d.Mount]; seen {
			disks[i] = d
			continue
		}
		place[d.Mount] = len(disks)
		disks = append(disks, d)
	}
	return disks
}

func inMemory(source string) bool {
	switch source {
	case "tmpfs", "devtmpfs", "udev", "shm", "none", "rootfs", "ramfs", "efivarfs":
		return true
	}
	return false
}

// parseDisk finds the four columns of numbers in a line: what stands before them
// is the source and what follows is the mount point, and both may have spaces.
func parseDisk(line string) (Disk, bool) {
	words := fields(line)
	for i := 1; i+4 < len(words); i++ {
		size, ok1 := blocks(words[i].text)
		used, ok2 := blocks(words[i+1].text)
		available, ok3 := blocks(words[i+2].text)
		percent, ok4 := strings.CutSuffix(words[i+3].text, "%")
		if !ok1 || !ok2 || !ok3 || !ok4 {
			continue
		}
		mount := line[words[i+4].start:]
		if !strings.HasPrefix(mount, "/") {
			continue
		}
		return Disk{
			Source: strings.TrimSpace(line[:words[i].start]), Mount: strings.TrimRight(mount, " \t"),
			SizeBytes: size, UsedBytes: used, AvailableBytes: available, UsedPct: max(0, whole(percent)),
		}, true
	}
	return Disk{}, false
}

// blocks reads a column of KiB. Available space is negative on a file system that
// has gone into its reserve.
func blocks(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, false
	}
	return kib(strconv.Itoa(max(0, n))), true
}

type word struct {
	text  string
	start int
}

func fields(line string) []word {
	var words []word
	at := 0
	for text := range strings.FieldsSeq(line) {
		start := at + strings.Index(line[at:], text)
		words = append(words, word{text: text, start: start})
		at = start + len(text)
	}
	return words
}
