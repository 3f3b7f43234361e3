// Package cron knows when schedules fire. It is pure: times and zones are values.
//
// # Model
//
// An expression has five fields (minute, hour, day of month, month, day of week)
// or six, with the second first, and is read against the wall clock of a time
// zone. A field is *, a number, a range, either with a step, or a list of these;
// months and days of the week have English names of three letters; Sunday is 0
// and 7. When both day fields are restricted, a day fires that fits either, as in
// every cron.
//
// # Daylight saving
//
// Each local time that an expression names fires once. A local time that does not
// exist (the clock jumps over it) fires at the moment after the jump, together
// with whatever else falls on that moment. A local time that exists twice fires
// the first time. Work that has to go on at equal distances takes an interval, or UTC.
package cron
