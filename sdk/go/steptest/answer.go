package steptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"opsconductor.dev/sdk/go/step"
)

// answer turns a typed fake into one over JSON. A request that the function's
// types don't have is bad_request, as it is with the host.
func answer[Req, Res any](fake func(Req) (Res, error)) func([]byte) ([]byte, error) {
	return func(request []byte) ([]byte, error) {
		var req Req
		dec := json.NewDecoder(bytes.NewReader(request))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&req); err != nil {
			return nil, &step.Error{Code: step.BadRequest, Phase: step.Before, Message: err.Error()}
		}
		res, err := fake(req)
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(res)
		if err != nil {
			return nil, fmt.Errorf("encode the fake's result: %w", err)
		}
		return b, nil
	}
}

// refuse returns the envelope of an error: an *step.Error as it is, any other as
// one of code protocol.
func refuse(err error) []byte {
	var e *step.Error
	if !errors.As(err, &e) {
		e = &step.Error{Code: step.Protocol, Phase: step.After, Message: err.Error()}
	}
	b, err := json.Marshal(map[string]*step.Error{"error": e})
	if err != nil {
		return nil
	}
	return b
}
