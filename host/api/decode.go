package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	"opsconductor.dev/host/automation"
)

// decode reads the JSON body of ctx's request as a T, strictly: T's schema decides
// which fields there are. All faults are reported at once, in document order.
func decode[T any](ctx context.Context, a *API) (T, error) {
	var v T
	raw := payloadOf(ctx).raw
	schema := a.schemas().Schema(reflect.TypeFor[T](), true, "")
	if err := checkJSON(a.schemas(), schema, raw); err != nil {
		return v, err
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, refuse(http.StatusBadRequest, &automation.Error{
			Code: automation.CodeSyntax, Message: "the body does not fit the operation's schema", Err: err,
		})
	}
	return v, nil
}
