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

var (
	cells   [4096]byte
	counter uint32
	kept    = map[byte][]byte{}
)

func depth(n byte) uint64 {
	if n == 0 {
		return 0
	}
	return depth(n-1) + 1
}

// mix does something with all kinds of state for each byte of the input, and
// returns what it saw: that depends on the input alone, if nothing is left of an
// earlier attempt.
//
//go:wasmexport mix
func mix() int32 {
	h := uint64(14695981039346656037)
	for _, b := range pdk.Input() {
		h = (h ^ uint64(b)) * 1099511628211
		switch b & 7 {
		case 0:
			counter += uint32(b)
		case 1:
			cells[h%4096] ^= b | 1
		case 2:
			if old, ok := kept[b>>3]; ok {
				h += uint64(len(old)) + uint64(old[0])
				delete(kept, b>>3)
			} else {
				kept[b>>3] = append(make([]byte, 0, int(b)*16+1), b)
			}
		case 3:
			h += uint64(counter) + uint64(len(kept))
		case 4:
			for _, c := range cells {
				h = h*31 + uint64(c)
			}
		case 5:
			for _, c := range pdk.Ask(hostEcho, []byte{b}) {
				h = h*31 + uint64(c)
			}
		case 6:
			name := fmt.Sprint("v", b>>4)
			if old := pdk.Var(name); old != nil {
				h += uint64(old[0])
			}
			pdk.SetVar(name, []byte{b})
		case 7:
			h += depth(b)
		}
	}
	text := fmt.Sprintf("%016x", h)
	pdk.Log(text)
	pdk.Output([]byte(text))
	return 0
}

func main() {}
