//go:build wasip1

// A plugin of the runner's tests.
package main

import (
	"encoding/json"
	"fmt"

	"opsconductor.dev/host/runner/engine/testdata/pdk"
)

//go:wasmimport extism:host/user act
func hostAct(request uint64) uint64

//go:wasmimport extism:host/user look
func hostLook(request uint64) uint64

type input struct {
	With struct {
		Request json.RawMessage `json:"request"`
		Text    string          `json:"text"`
		Times   int             `json:"times"`
	} `json:"with"`
}

func read() input {
	var in input
	if err := json.Unmarshal(pdk.Input(), &in); err != nil {
		panic(err)
	}
	return in
}

func answer(envelope []byte) int32 {
	b, _ := json.Marshal(map[string]json.RawMessage{"envelope": envelope})
	pdk.Output(b)
	return 0
}

// act gives the envelope back and succeeds, whatever it says.
//
//go:wasmexport act
func act() int32 { return answer(pdk.Ask(hostAct, read().With.Request)) }

//go:wasmexport look
func look() int32 { return answer(pdk.Ask(hostLook, read().With.Request)) }

// strict fails with the host function's own error.
//
//go:wasmexport strict
func strict() int32 {
	envelope := pdk.Ask(hostAct, read().With.Request)
	var e struct{ Error json.RawMessage }
	if err := json.Unmarshal(envelope, &e); err == nil && e.Error != nil {
		pdk.SetErrorString(string(e.Error))
		return 1
	}
	return answer(envelope)
}

// fail fails with the text as it is.
//
//go:wasmexport fail
func fail() int32 {
	pdk.SetErrorString(read().With.Text)
	return 1
}

// say gives the text as the output, as it is.
//
//go:wasmexport say
func say() int32 {
	pdk.Output([]byte(read().With.Text))
	return 0
}

// mirror gives its whole input back.
//
//go:wasmexport mirror
func mirror() int32 {
	answer(pdk.Input())
	return 0
}

//go:wasmexport chatter
func chatter() int32 {
	in := read()
	for i := range in.With.Times {
		fmt.Println(i, in.With.Text)
	}
	pdk.Output([]byte("{}"))
	return 0
}

//go:wasmexport actthenspin
func actthenspin() int32 {
	pdk.Ask(hostAct, read().With.Request)
	for {
	}
}

//go:wasmexport actthencrash
func actthencrash() int32 {
	pdk.Ask(hostAct, read().With.Request)
	panic("after the act")
}

func main() {}
