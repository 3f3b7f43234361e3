//go:build wasip1

// A guest of the engine's tests.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"opsconductor.dev/host/runner/engine/testdata/pdk"
)

//go:wasmimport extism:host/user echo
func hostEcho(request uint64) uint64

//go:wasmexport noop
func noop() int32 {
	pdk.Output([]byte("{}"))
	return 0
}

//go:wasmexport echo
func echo() int32 {
	pdk.Output(pdk.Input())
	return 0
}

//go:wasmexport host
func host() int32 {
	pdk.Output(pdk.Ask(hostEcho, pdk.Input()))
	return 0
}

//go:wasmexport fail
func fail() int32 {
	pdk.SetErrorString(`{"code":"disk_full","message":"no room","retryable":true}`)
	return 1
}

//go:wasmexport failsilent
func failsilent() int32 { return 7 }

//go:wasmexport boom
func boom() int32 {
	var p *int
	fmt.Println("about to go")
	panic(fmt.Sprint("boom ", p == nil))
}

//go:wasmexport exit
func exit() int32 {
	os.Exit(0)
	return 0
}

//go:wasmexport spin
func spin() int32 {
	for i := 0; ; i++ {
		if i < 0 {
			return 0
		}
	}
}

//go:wasmexport sleep
func sleep() int32 {
	time.Sleep(time.Hour)
	return 0
}

//go:wasmexport hog
func hog() int32 {
	var keep [][]byte
	for {
		b := make([]byte, 1<<20)
		b[len(b)/2] = 1
		keep = append(keep, b)
		if len(keep) > 1000 {
			return 0
		}
	}
}

//go:wasmexport clock
func clock() int32 {
	_, files := os.ReadDir("/")
	b, _ := json.Marshal(map[string]any{"now": time.Now().UnixNano(), "env": len(os.Environ()), "args": len(os.Args), "files": files != nil})
	pdk.Output(b)
	return 0
}

func main() {}
