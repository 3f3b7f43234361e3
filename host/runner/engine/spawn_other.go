//go:build !linux

package engine

import (
	"errors"
	"net"
	"os/exec"
)

var errNoProcesses = errors.New("sandbox processes need Linux")

const processes = false

type spawner struct{}

func newSpawner() *spawner { return &spawner{} }

func (*spawner) close() {}

func (*spawner) spawn([]string) (*exec.Cmd, net.Conn, error) { return nil, nil, errNoProcesses }

func childArguments() []string { return nil }

func enclose(Bounds) error { return errNoProcesses }

func seal(Bounds) (string, error) { return "", errNoProcesses }
