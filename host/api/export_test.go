package api

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// CheckAsset is the strict decoder on an asset's body, for fuzzing: it returns
// what the checker and encoding/json say of the same bytes.
func CheckAsset(raw []byte) (strict, plain error) {
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	schema := schemas.Schema(reflect.TypeFor[AssetRequest](), true, "")
	var v AssetRequest
	return checkJSON(schemas, schema, raw), json.Unmarshal(raw, &v)
}

// ReadCursor is the decoder of cursors, for fuzzing.
func ReadCursor(text string) (after, again string, err error) {
	after, err = decodeCursor("assets", text)
	return after, encodeCursor("assets", after), err
}
