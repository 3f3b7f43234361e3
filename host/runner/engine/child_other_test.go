//go:build !linux

package engine_test

func beChild(string, []string) bool { return false }
