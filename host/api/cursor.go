package api

import (
	"encoding/base64"
	"encoding/json"
	"net/http"

	"opsconductor.dev/host/automation"
)

const cursorVersion = 1

// cursor is where the next page of a list begins. Its text is opaque to clients:
// base64url of JSON with a version, so that it may change its content.
type cursor struct {
	Version int    `json:"v"`
	List    string `json:"l"` // which list, and its filter
	After   string `json:"a"` // the last key of the page before
}

// encodeCursor returns the text of the cursor after a key; "" for no key.
func encodeCursor(list, after string) string {
	if after == "" {
		return ""
	}
	b, err := json.Marshal(cursor{Version: cursorVersion, List: list, After: after})
	if err != nil {
		return "" // strings and a number always marshal
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// decodeCursor returns the key that a cursor's text stands for; "" for "".
func decodeCursor(list, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	var c cursor
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || c.Version != cursorVersion || c.List != list || c.After == "" {
		return "", refuse(http.StatusBadRequest, &automation.Error{
			Code: automation.CodeBadRequest, Message: "the cursor is not one of this list",
			Suggestion: "send next_cursor of the page before, with the same filter, or no cursor to begin",
		})
	}
	return c.After, nil
}

// Paging is the query parameters of every list.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"next_cursor of the page before; without it the list begins."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most entries to return."`
}

// page returns the store's page for a list.
func (p Paging) page(list string) (automation.Page, error) {
	after, err := decodeCursor(list, p.Cursor)
	return automation.Page{After: after, Limit: p.Limit}, err
}

// list is a page of a list.
type list[T any] struct {
	Items      []T    `json:"items" nullable:"false" doc:"The entries, in the list's order."`
	NextCursor string `json:"next_cursor,omitempty" doc:"Send it as cursor to get the next page; absent on the last page."`
}

type listOut[T any] struct{ Body list[T] }

// listed makes a page: a full one has a cursor after its last entry.
func listed[T any](name string, limit int, items []T, key func(T) string) *listOut[T] {
	out := &listOut[T]{Body: list[T]{Items: items}}
	if items == nil {
		out.Body.Items = []T{}
	}
	if limit > 0 && len(items) >= limit {
		out.Body.NextCursor = encodeCursor(name, key(items[len(items)-1]))
	}
	return out
}

// Idempotency is the header of every operation that creates something.
type Idempotency struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"A text of the caller's own. The same key with the same request gives the answer of the first time; with another request it is a conflict."`
}

// createdStatus is the status of a creation: 200 when it had happened before.
func createdStatus(created bool, status int) int {
	if created {
		return status
	}
	return http.StatusOK
}
