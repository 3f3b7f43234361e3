package chaos_test

import (
	"encoding/binary"
	"slices"
	"testing"
)

// answer is a message of a PostgreSQL server.
func answer(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

// TestAnswers: a commit is seen where its answer ends, however the bytes come, and
// only where something was written.
func TestAnswers(t *testing.T) {
	t.Parallel()
	idle, begun, failed := answer('Z', "I"), answer('Z', "T"), answer('Z', "E")
	row := answer('D', "\x00\x01\x00\x00\x00\x05C\x00\x00\x00Z") // what looks like messages within a body
	for name, tt := range map[string]struct {
		stream []byte
		want   bool
	}{
		"an insert":         {slices.Concat(answer('1', ""), row, answer('C', "INSERT 0 3\x00"), idle), true},
		"a pipeline":        {slices.Concat(answer('C', "SELECT 1\x00"), answer('C', "UPDATE 1\x00"), answer('C', "SELECT 0\x00"), idle), true},
		"a transaction":     {slices.Concat(answer('C', "UPDATE 1\x00"), begun, answer('C', "COMMIT\x00"), idle), true},
		"a read":            {slices.Concat(row, answer('C', "SELECT 1\x00"), idle), false},
		"nothing changed":   {slices.Concat(answer('C', "UPDATE 0\x00"), idle), false},
		"not committed yet": {slices.Concat(answer('C', "UPDATE 1\x00"), begun), false},
		"rolled back":       {slices.Concat(answer('C', "UPDATE 1\x00"), failed, answer('C', "ROLLBACK\x00"), idle), false},
	} {
		for _, size := range []int{1, 3, 7, len(tt.stream)} {
			a, got := &answers{}, false
			for part := range slices.Chunk(tt.stream, size) {
				got = a.committed(part) || got
			}
			if got != tt.want {
				t.Errorf("%s in parts of %d bytes: committed is %t, want %t", name, size, got, tt.want)
			}
		}
	}
}
