package api

import (
	"errors"
	"net/http"
	"strconv"

	"opsconductor.dev/host/automation"
)

// etag returns the entity tag of a version (RFC 9110 section 8.8.3): a strong one.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// Precondition is the header of every update and delete of a versioned object.
type Precondition struct {
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag of the version that the change is made from, or * for whatever it is now. 428 without the header; 412 when the object has another version by now."`
}

// version returns the version that If-Match names; 0 stands for any ("*").
func (p Precondition) version() (int64, error) {
	if p.IfMatch == "" {
		return 0, refuse(http.StatusPreconditionRequired, &automation.Error{
			Code: automation.CodeMissing, Message: "If-Match is not there",
			Suggestion: "read the object, and send its ETag as If-Match",
		})
	}
	return versionOf(p.IfMatch)
}

// OptionalPrecondition is the header where a change may do without.
type OptionalPrecondition struct {
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag of the version that the change is made from; 412 when the object has another by now. Without it, or with *, whatever it is now."`
}

func (p OptionalPrecondition) version() (int64, error) {
	if p.IfMatch == "" {
		return 0, nil
	}
	return versionOf(p.IfMatch)
}

// versionOf reads an entity tag, or "*". A tag that the API never gave out
// matches no version.
func versionOf(tag string) (int64, error) {
	if tag == "*" {
		return 0, nil
	}
	n := len(tag)
	if n < 3 || tag[0] != '"' || tag[n-1] != '"' {
		return 0, stale()
	}
	v, err := strconv.ParseInt(tag[1:n-1], 10, 64)
	if err != nil || v < 1 || etag(v) != tag {
		return 0, stale()
	}
	return v, nil
}

// stale is the answer to a change that was made from an older version.
func stale() error {
	return refuse(http.StatusPreconditionFailed, &automation.Error{
		Code: automation.CodeConflict, Message: "the object does not have the version in If-Match",
		Suggestion: "read it again, make the change on what it is now, and send its new ETag",
	})
}

// changed turns the conflict of a change into 412 when the object has another
// version than the one that the change was made from; now reads that version.
// Other conflicts (a name that is taken) stay 409.
func changed(err error, version int64, now func() (int64, error)) error {
	if version == 0 || !errors.Is(err, &automation.Error{Code: automation.CodeConflict}) {
		return err
	}
	if current, readErr := now(); readErr == nil && current != version {
		return stale()
	}
	return err
}
